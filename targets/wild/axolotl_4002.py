import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """axolotl#4002: batch_ring ring attention on packed documents: K/V go round the whole sequence, no boundaries"""
    m = np.ones((c.S, c.T), bool)
    if rule(c.case, "causal"):
        m &= c.causal_mask()
    d = rule(c.case, "documents")
    if d and fixed:
        ids = np.repeat(np.arange(len(d["lens"])), d["lens"])
        m &= ids[:, None] == ids[None, :]
    # two ranks: halves of the keys, merged by lse
    o = np.zeros((c.B, c.H, c.S, c.Dv), c.wide)
    L = np.full((c.B, c.H, c.S), -np.inf, c.wide)
    h = -(-c.T // 2)
    v = c.rep(c.v)
    s = scores(c)
    for a, b in ((0, h), (h, c.T)):
        if a == b:
            continue
        p, l = softmax(s[..., a:b], np.broadcast_to(m[:, a:b], s[..., a:b].shape))
        ob = p @ v[..., a:b, :]
        n = np.logaddexp(L, l)
        f = np.where(np.isfinite(n), n, 0)
        o = o * np.exp(L - f)[..., None] + ob * np.exp(l - f)[..., None]
        L = n
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "scale", "rule:causal", "rule:documents"],
            "precision": {},
        },
    )
