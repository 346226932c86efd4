import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """aprender#2143: ALiBi's slopes are 2^(-8 h / n), not 2^(-8 (h + 1) / n): head 0 has slope 1"""
    if rule(c.case, "alibi") and not fixed:
        c.bias = c.bias * c.wide(2.0 ** (8.0 / c.H))
    return {"out": attend(c, c.causal_mask() if rule(c.case, "causal") else None)[0]}


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
                "scale",
                "rule:causal",
                "rule:alibi",
                "align:bottom_right",
            ],
        },
    )
