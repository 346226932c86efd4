import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """transformers#41228: continuous batching: the window is added to the diagonal and the two masks are combined by tril(triu())"""
    w = rule(c.case, "window")
    i, j = c.pos()
    m = c.causal_mask()
    if w:
        m = m & (j > i - w["left"] - 1) if fixed else m | (j > i + w["left"] + 1)
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


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
                "rule:window",
                "align:bottom_right",
            ],
            "requires": [["dtype:f32", "rule:causal"], ["rule:window", "rule:causal"]],
        },
    )
