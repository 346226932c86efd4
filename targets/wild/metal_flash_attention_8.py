import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """philipturner/metal-flash-attention#8: q.k is held in half precision and multiplied with the scale after that: large products pass 65504 before they are made smaller"""
    raw = c.q @ c.rep(c.k).swapaxes(-1, -2)
    if not fixed:
        raw = raw.astype(np.float16).astype(np.float32)  # BUG: f32, or the scale on q first
    m = c.causal_mask() if rule(c.case, "causal") else np.True_
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)), s=raw * c.scale)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f16",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:causal",
                "align:bottom_right",
                "data:normal",
                "data:large",
                "data:huge",
            ],
        },
    )
