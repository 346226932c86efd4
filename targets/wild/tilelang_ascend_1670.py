import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """tile-ai/tilelang-ascend#1670: the backward pass takes its scale from the head size padded to a multiple of 16, the forward pass from the true one"""
    m = np.broadcast_to(c.causal_mask() if rule(c.case, "causal") else np.True_, (c.B, c.H, c.S, c.T))
    o, p, _ = attend(c, m)
    got = {"out": o}
    if c.do is None:
        return got
    if not fixed:
        c.scale = c.wide((-(-c.D // 16) * 16) ** -0.5)  # BUG: head_dim ** -0.5
        p, _ = softmax(scores(c), m)
    dq, dk, dv, _ = backward(c, p, p @ c.rep(c.v))
    for n, y in (("dq", dq), ("dk", dk), ("dv", dv)):
        if n in c.outputs:
            got[n] = y
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
                "rule:causal",
                "align:bottom_right",
                "dq",
                "dk",
                "dv",
            ],
        },
    )
