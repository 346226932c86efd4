import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """HunyuanVideo#310: mode torch splits at cu_seqlens[1] only: all later sequences are one"""
    m = np.ones((c.S, c.T), bool)
    d = rule(c.case, "documents")
    if d:
        ids = np.repeat(np.arange(len(d["lens"])), d["lens"])
        if not fixed:
            ids = np.minimum(ids, 1)
        m = ids[:, None] == ids[None, :]
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "scale", "rule:documents"],
        },
    )
