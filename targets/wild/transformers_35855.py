import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """transformers#35855: PaliGemma masks padding first and opens the prefix after that: padding in the prefix is seen"""
    i, j = c.pos()
    pad = c.lens_mask()
    m = np.ones((c.B, 1, c.S, c.T), bool)
    r = rule(c.case, "prefix")
    if r:
        prefix = (j[None] < np.array(r["lens"])[:, None, None])[:, None]
        seen = c.causal_mask()[None, None]
        m = (seen | prefix) & pad if fixed else (seen & pad) | prefix
    else:
        m = m & pad
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
                "layout:bhsd",
                "gqa",
                "mqa",
                "scale",
                "rule:prefix",
                "rule:padding",
                "padding.side:left",
                "padding.side:right",
                "fully_masked:any",
            ],
        },
    )
