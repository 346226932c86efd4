import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """xformers#1185: BlockDiagonalCausalMask.to() returns the class it inherits from: the blocks stay, the diagonal is lost"""
    m = np.ones((c.S, c.T), bool)
    d = rule(c.case, "documents")
    if d:
        ids = np.repeat(np.arange(len(d["lens"])), d["lens"])
        m = ids[:, None] == ids[None, :]
    if rule(c.case, "causal") and (fixed or not d):
        m = m & c.causal_mask()
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
                "layout:bshd",
                "gqa",
                "mqa",
                "head_dim_v",
                "scale",
                "rule:causal",
                "rule:documents",
            ],
        },
    )
