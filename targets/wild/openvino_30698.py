import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """openvino#30698: sdpa_micro loads a mask [batch, heads, 1, kv_len] by query: behind its one row come zeros, which hide nothing"""
    m = np.broadcast_to(c.lens_mask(), (c.B, c.H, c.S, c.T)).copy()
    if not fixed:
        m[:, :, 1:] = True
    return {"out": attend(c, m)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "longer_q",
                "scale",
                "rule:padding",
                "padding.side:right",
                "padding.side:left",
                "fully_masked:any",
            ],
        },
    )
