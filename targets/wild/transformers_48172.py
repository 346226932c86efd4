import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """transformers#48172: Mllama's cross attention never says is_causal, and sdpa takes it for causal wherever no mask is handed over"""
    m = c.mask
    if not fixed and m is None and c.S > 1:
        m = np.broadcast_to(np.tri(c.S, c.T, dtype=bool), (c.B, c.H, c.S, c.T))  # BUG: nobody asked for it
    return {"out": attend(c, m)[0]}


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
                "rule:padding",
                "padding.side:right",
            ],
        },
    )
