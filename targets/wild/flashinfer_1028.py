import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """flashinfer#1028: plan() with a custom mask, then plan() without: the old mask's buffer is used"""
    if rule(c.case, "boolean"):
        c.state["custom"] = c.mask.reshape(-1).copy()
        m = c.mask
    else:
        if fixed:
            c.state["custom"] = None
        m = np.broadcast_to(
            c.causal_mask() if rule(c.case, "causal") else np.ones((c.S, c.T), bool), (c.B, c.H, c.S, c.T)
        )
        flat = c.state.get("custom")
        if flat is not None:
            n = c.B * c.H * c.S * c.T
            bits = np.ones(n, bool)
            bits[: min(n, flat.size)] = flat[:n]
            m = bits.reshape(m.shape)
    o, p, _ = attend(c, m)
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
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:causal",
                "rule:boolean",
                "boolean.shape:qk",
                "boolean.shape:bqk",
                "align:bottom_right",
                "fully_masked:zero",
            ],
        },
    )
