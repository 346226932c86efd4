import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """pytorch#176767: MPS SDPA allocates out with q's head size, not the values'"""
    m = c.mask
    if c.mask is None and rule(c.case, "causal"):
        m = c.causal_mask()
    o, p, _ = attend(c, m)
    if not fixed:
        w = np.zeros((c.B, c.H, c.S, c.D), c.wide)  # empty_like(query)
        n = min(c.D, c.Dv)
        w[..., :n] = o[..., :n]
        o = w
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "longer_q",
                "head_dim_v",
                "scale",
                "rule:causal",
                "rule:boolean",
                "boolean.shape:qk",
                "boolean.shape:bqk",
                "boolean.shape:hqk",
                "boolean.shape:bhqk",
                "align:top_left",
                "fully_masked:zero",
            ],
        },
    )
