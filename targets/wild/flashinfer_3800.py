import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """flashinfer#3800: cudnn_batch_prefill without offsets: the batch stride of q is that of a token"""
    if not fixed:
        tokens = c.q.swapaxes(1, 2).reshape(c.B * c.S, c.H, c.D)
        c.q = tokens[np.arange(c.B)[:, None] + np.arange(c.S)[None, :]].swapaxes(1, 2)
    return {"out": attend(c, c.causal_mask() if rule(c.case, "causal") else None)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "head_dim_v",
                "scale",
                "rule:causal",
                "align:bottom_right",
            ],
        },
    )
