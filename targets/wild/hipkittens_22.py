import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """HipKittens#22: block x works on head (x % group) * group + x / group: with other than group KV heads some heads come twice, others never"""
    o, _, _ = attend(c, c.causal_mask() if rule(c.case, "causal") else None)
    group = c.H // c.Hk
    many = c.Hk if fixed else group
    x = np.arange(c.H)
    heads = (x % many) * group + x // many
    out = np.zeros_like(o)
    for h in heads:
        if h < c.H:
            out[:, h] = o[:, h]
    return {"out": out}


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
                "rule:causal",
                "align:bottom_right",
            ],
        },
    )
