import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """tokenspeed#571: the prefill kernel works in base 2 and stores its lse in base 2"""
    o, p, lse = attend(c, c.causal_mask() if rule(c.case, "causal") else None)
    got = {"out": o}
    if "lse" in c.outputs:
        got["lse"] = (lse if fixed else lse / np.log(2)).astype(np.float32)
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "lse",
                "rule:causal",
                "align:bottom_right",
            ],
        },
    )
