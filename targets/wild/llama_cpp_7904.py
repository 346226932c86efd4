import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """llama.cpp#7904: the bounds check `ic0 + j` for `ic0 + j < ne01`: query 0 of a tile of 4 or 8 is not loaded (zeros)"""
    if not fixed and c.S > 2:
        c.q = c.q.copy()
        c.q[:, :, 0] = 0
    o, p, _ = attend(c, c.mask)
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "head_dim": [64, 128, 64], "head_dim_v": [64, 128, 64]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "longer_q",
                "scale",
                "rule:boolean",
                "boolean.shape:qk",
                "rule:alibi",
                "rule:causal",
                "align:bottom_right",
                "fully_masked:any",
            ],
        },
    )
