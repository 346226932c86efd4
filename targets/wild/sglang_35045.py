import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """sglang#35045: prefix and new tokens are merged with weights exp(lse), but the lse of both are in base 2"""
    m = c.causal_mask()
    v, s = c.rep(c.v), scores(c)
    parts = []
    for a, b in ((0, c.T - c.S), (c.T - c.S, c.T)):
        if a < b:
            p, l = softmax(s[..., a:b], np.broadcast_to(m[:, a:b], s[..., a:b].shape))
            parts.append((p @ v[..., a:b, :], l))
    if len(parts) == 1:
        return {"out": parts[0][0]}
    (o1, l1), (o2, l2) = parts
    if not fixed:
        l1, l2 = l1 / np.log(2), l2 / np.log(2)
    w = 1 / (1 + np.exp(l2 - l1))[..., None]
    return {"out": (w * o1 + (1 - w) * o2).astype(c.wide)}


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
                "rule:causal",
                "align:bottom_right",
            ],
            "requires": [["dtype:f32", "rule:causal"]],
        },
    )
