import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """onnxruntime#28370: CUDA Attention adds attn_mask (a float bias) to the score before the softcap, not after it"""
    s = (c.q @ c.rep(c.k).swapaxes(-1, -2)) * c.scale
    bias = 0 if c.bias is None else c.bias
    cap = lambda x: c.softcap * np.tanh(x / c.softcap) if c.softcap else x
    s = cap(s) + bias if fixed else cap(s + bias)
    return {"out": attend(c, c.causal_mask() if rule(c.case, "causal") else None, s=s)[0]}


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
                "head_dim_v",
                "scale",
                "softcap",
                "rule:causal",
                "rule:bias",
                *(f"bias.shape:{s}" for s in ("qk", "bqk", "hqk", "bhqk")),
                "align:bottom_right",
            ],
        },
    )
