import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """TransformerEngine#1930: context parallelism over two ranks halves the lengths of packed sequences: an odd one loses its last token"""
    m = np.ones((c.S, c.T), bool)
    lost = np.zeros(c.T, bool)
    d = rule(c.case, "documents")
    if d:
        ids = np.repeat(np.arange(len(d["lens"])), d["lens"])
        m = ids[:, None] == ids[None, :]
        ends = np.cumsum(d["lens"])
        lost[[e - 1 for e, n in zip(ends, d["lens"]) if n % 2]] = True
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    if not fixed:
        m = m & ~lost[None, :] & ~lost[:, None]
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "scale", "rule:causal", "rule:documents"],
        },
    )
