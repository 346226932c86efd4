import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """Tencent/hpc-ops#6: split-k decode: the partial lse is stored without the KV head's stride"""
    n = 3
    v = c.rep(c.v)
    s = scores(c)
    e = -(-c.T // n)
    O, L = [], []
    for a in range(0, c.T, e):
        p, l = softmax(s[..., a : a + e])
        O.append(p @ v[..., a : a + e, :])
        if not fixed:
            g = c.H // c.Hk
            last = l.reshape(c.B, c.Hk, g, c.S)[:, -1]  # all KV heads write to the same place
            l = np.tile(last, (1, c.Hk, 1))
        L.append(l)
    L = np.stack(L)
    M = L.max(0)
    w = np.exp(L - M)
    w /= w.sum(0)
    return {"out": sum(wi[..., None] * oi for wi, oi in zip(w, O))}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 1], "kv_len": [1, 200]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "cross", "scale"],
        },
    )
