import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def e4m3(x):
    x = np.minimum(x, 448.0)
    e = np.floor(np.log2(np.maximum(x, 2.0**-6)))
    q = 2.0 ** (e - 3)
    return (np.round(x / q) * q).astype(np.float32)


def fn(c, fixed):
    """flash-attention#2577: FA4 FP8: the max is only renewed when it grows by more than 2**4: p * 2**8 passes e4m3's 448"""
    L2 = np.log2(np.e)
    s = scores(c) * L2
    v = c.rep(c.v)
    K = 128
    m = np.full(s.shape[:-1], -np.inf, np.float32)
    l = np.zeros_like(m)
    o = np.zeros((c.B, c.H, c.S, c.Dv), np.float32)
    for a in reversed(range(0, c.T, K)):
        x = s[..., a : a + K].max(-1)
        grow = x - m
        n = np.where(grow > (0 if fixed else 4.0), np.maximum(m, x), m)
        f = np.where(np.isfinite(m), np.exp2(m - n), 0)
        p = np.exp2(s[..., a : a + K] - n[..., None] + 8)
        l = l * f + p.sum(-1)
        o = o * f[..., None] + e4m3(p) @ v[..., a : a + K, :]
        m = n
    return {"out": o / l[..., None]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 4], "kv_len": [1, 300]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "dtype:bf16", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale"],
            "precision": {"f32": {"accumulate": "f32", "p": "e4m3"}, "bf16": {"accumulate": "f32", "p": "e4m3"}},
            "tiles": {"kv_len": [128]},
        },
    )
