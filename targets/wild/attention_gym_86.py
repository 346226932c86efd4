import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """attention-gym#86: ALiBi adds slope * (query - key), the wrong way round: the score rises with the distance to earlier keys"""
    if rule(c.case, "alibi") and not fixed:
        c.bias = -c.bias  # BUG: slope * (key - query), at most 0 for the keys that causal leaves
    m = np.broadcast_to(c.causal_mask(), (c.B, c.H, c.S, c.T))
    return {"out": attend(c, m)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:alibi",
                "rule:causal",
                "align:bottom_right",
            ],
            "requires": [["rule:alibi", "rule:causal"], ["dtype:f32", "rule:causal"]],
            "max_rules": 2,
        },
    )
