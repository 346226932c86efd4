import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """modular/modular#6198: the sink's logit never reaches the denominator (SM120 path)"""
    i, j = c.pos()
    m = c.lens_mask()
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    if w := rule(c.case, "window"):
        m = m & c.window_mask(w)
    o, p, _ = attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)), c.sinks if fixed else None)
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "dtype:bf16",
                "layout:bhsd",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "sinks",
                "scale",
                "rule:causal",
                "rule:window",
                "rule:padding",
                "padding.side:right",
                "align:bottom_right",
                "fully_masked:zero",
            ],
            "precision": {"bf16": {"accumulate": "f32", "p": "f32"}},
        },
    )
