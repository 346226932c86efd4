import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """candle#3727: softmax sums its denominator one by one in the tensors' own 16-bit type: with many keys the sum stops growing, and the weights are too large"""
    s = scores(c)
    m = c.causal_mask() if rule(c.case, "causal") else np.ones((c.S, c.T), bool)
    s = np.where(m, s, s.dtype.type(-np.inf))
    e = np.exp(s - s.max(-1, keepdims=True))
    if fixed:
        total = e.sum(-1)
    else:
        total = np.zeros(e.shape[:-1], c.wide)
        for j in range(c.T):
            total = round_to(total + round_to(e[..., j], c.dtype), c.dtype)  # BUG: an f32 sum
    return {"out": (e / total[..., None]) @ c.rep(c.v)}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "kv_len": [1, 300]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:bf16",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:causal",
                "align:bottom_right",
            ],
            "precision": {"bf16": {"accumulate": "f32", "p": "f32"}},
        },
    )
