import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """ONNXim#33: the KV head of a group is its first query head divided by num_kv_heads, not by the size of the group"""
    group = c.H // c.Hk
    h = np.arange(c.H) // group * group
    head = h // group if fixed else h // c.Hk
    s = (c.q @ c.k[:, head].swapaxes(-1, -2)) * c.scale
    return {"out": attend(c, c.causal_mask() if rule(c.case, "causal") else None, s=s, v=c.v[:, head])[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "num_heads": [4, 16], "num_kv_heads": [4, 8]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bhsd", "gqa", "cross", "scale", "rule:causal", "align:bottom_right"],
        },
    )
