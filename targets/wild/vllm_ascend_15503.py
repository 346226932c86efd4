import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """vllm-ascend#15503: fused infer attention, sparse_mode 0: a mask of shape [1, 1, 1, S] is not read past key 512"""
    m = c.lens_mask()
    if not fixed:
        m = m | (np.arange(c.T) >= 512)
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {
                **SIZES,
                "batch": [1, 2],
                "q_len": [1, 4],
                "kv_len": [1, 1024],
                "head_dim": [64, 64],
                "head_dim_v": [64, 64],
            },
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "longer_q",
                "scale",
                "rule:padding",
                "padding.side:right",
                "fully_masked:zero",
            ],
            "tiles": {"kv_len": [512]},
        },
    )
