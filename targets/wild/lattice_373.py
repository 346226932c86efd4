import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """ohdearquant/lattice#373: padded keys are scored -10000, not -inf: where the others are lower still they take the weight"""
    s = scores(c)
    m = np.broadcast_to(c.lens_mask(), s.shape)
    if fixed:
        return {"out": attend(c, m, s=s)[0]}
    return {"out": attend(c, None, s=np.where(m, s, c.wide(-10000)))[0]}


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
                "fully_masked:any",
                "data:large",
                "data:huge",
            ],
            "tiles": {"kv_len": [32]},
        },
    )
