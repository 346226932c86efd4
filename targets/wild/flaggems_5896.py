import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def dense(x):
    """What lies from x's first element on, read as a contiguous tensor of its shape"""
    steps = np.cumprod((1,) + x.shape[:0:-1])[::-1] * x.itemsize
    return np.lib.stride_tricks.as_strided(x, x.shape, steps)


def fn(c, fixed):
    """FlagGems#5896: flash attention reads v as a contiguous [batch, heads, kv_len, head_dim] tensor, whatever its strides"""
    if not fixed and c.t["v"].size:
        c.v = widen(dense(c.t["v"]), c.dtype).astype(c.wide)  # BUG: q and k go by their strides, v does not
    m = c.causal_mask() if rule(c.case, "causal") else np.ones((c.S, c.T), bool)
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
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:causal",
                "align:bottom_right",
                "strides:transposed",
                "strides:gaps",
            ],
        },
    )
