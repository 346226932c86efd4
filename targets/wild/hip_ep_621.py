import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """hip-ep#621: packed q, k and v: without a scale the head size is taken for the last axis / num_heads, k and v counted in"""
    if c.p["scale"] is None and not fixed:
        packed = (c.H + 2 * c.Hk) * c.D
        c.scale = c.wide((packed // c.H) ** -0.5)
    return {"out": attend(c, c.causal_mask() if rule(c.case, "causal") else None)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "scale", "softcap", "rule:causal"],
        },
    )
