import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """flash-linear-attention#842: where a padding mask comes along, cu_seqlens is made anew from it: the boundaries of the packed samples are lost"""
    m = np.broadcast_to(c.lens_mask(), (c.B, 1, c.S, c.T))
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    d = rule(c.case, "documents")
    if d and (fixed or rule(c.case, "padding") is None):  # BUG: cu_seqlens is [0, total] with a mask
        ids = np.repeat(np.arange(len(d["lens"])), d["lens"])
        m = m & (ids[:, None] == ids[None, :])
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "scale",
                "rule:causal",
                "rule:documents",
                "rule:padding",
                "padding.side:right",
                "padding.side:left",
                "fully_masked:any",
            ],
            "max_rules": 3,
        },
    )
