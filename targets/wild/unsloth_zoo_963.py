import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """unsloth-zoo#963: a padding mask is taken for the whole mask: the causal one is built where there is none only"""
    m = np.ones((c.B, 1, c.S, c.T), bool)
    if rule(c.case, "padding"):
        m = m & c.lens_mask()
    if rule(c.case, "causal") and (fixed or not rule(c.case, "padding")):
        m = m & c.causal_mask()
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
                "rule:causal",
                "rule:padding",
                "padding.side:right",
                "padding.side:left",
                "fully_masked:any",
            ],
        },
    )
