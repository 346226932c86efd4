import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """ISEEKYAN/Megatron-LM#205: the gradient of the sink is computed and not handed on: the sinks get none"""
    m = np.broadcast_to(c.causal_mask() if rule(c.case, "causal") else np.True_, (c.B, c.H, c.S, c.T))
    o, p, lse = attend(c, m, c.sinks)
    got = {"out": o}
    if c.do is None:
        return got
    dq, dk, dv, _ = backward(c, p, o)
    dsinks = np.zeros(c.H, np.float32)
    if c.sinks is not None and fixed:
        dsinks = -(np.exp(c.sinks[None, :, None] - lse) * (c.do * o).sum(-1)).sum((0, 2)).astype(np.float32)
    for n, y in (("dq", dq), ("dk", dk), ("dv", dv), ("dsinks", dsinks)):
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
                "scale",
                "sinks",
                "rule:causal",
                "align:bottom_right",
                "dq",
                "dk",
                "dv",
                "dsinks",
            ],
        },
    )
