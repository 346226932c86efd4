import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """flash-attention#2402: the softcap of the score modifier is x tanh(x), with x = score / cap, where cap tanh(x) is meant"""
    cap, c.softcap = c.softcap, 0
    s = scores(c)
    if cap:
        x = s / cap
        s = (cap if fixed else x) * np.tanh(x)
    return {"out": attend(c, c.causal_mask() if rule(c.case, "causal") else None, s=s)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "head_dim_v",
                "scale",
                "softcap",
                "rule:causal",
                "align:bottom_right",
            ],
        },
    )
