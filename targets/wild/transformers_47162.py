import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """transformers#47162: the right side of a two-sided window is compared with <, not with <=: its farthest key is not seen"""
    i, j = c.pos()
    m = np.ones((c.S, c.T), bool)
    if rule(c.case, "causal"):
        m &= c.causal_mask()
    w = rule(c.case, "window")
    if w:
        ahead = j - i
        m &= -ahead <= w["left"]
        m &= (ahead <= 0) | (ahead <= w["right"] if fixed else ahead < w["right"])
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["q_len", "kv_len"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "head_dim_v",
                "scale",
                "rule:causal",
                "rule:window",
            ],
        },
    )
