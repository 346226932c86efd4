import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """zml/zml#763: flash attention's left side of the window does not count the query itself, and is handed the window's whole size: one key too many"""
    m = np.ones((c.S, c.T), bool)
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    if w := rule(c.case, "window"):
        m = m & c.window_mask(w if fixed else {**w, "left": w["left"] + 1})  # BUG: size - 1
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


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
                "rule:window",
                "align:bottom_right",
            ],
            "requires": [["rule:window", "rule:causal"]],
            "max_rules": 2,
        },
    )
