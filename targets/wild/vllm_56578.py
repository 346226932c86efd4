import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """vllm#56578: the softcap's tanh is (e^x - e^-x) / (e^x + e^-x): from a score of 88 caps on that is inf / inf"""
    cap, c.softcap = c.softcap, 0
    s = scores(c)
    if cap:
        x = s / cap
        s = cap * (np.tanh(x) if fixed else (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)))
    return {"out": attend(c, c.causal_mask() if rule(c.case, "causal") else None, s=s)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "head_dim_v",
                "scale",
                "softcap",
                "rule:causal",
                "align:bottom_right",
                "data:large",
                "data:huge",
            ],
        },
    )
