import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """triton-lang/triton#5241: the backward pass of the fused attention always computes the causal version, whatever the forward pass did"""
    s = scores(c)
    seen = np.broadcast_to(c.causal_mask() if rule(c.case, "causal") else np.True_, s.shape)
    o, p, lse = attend(c, seen, s=s)
    got = {"out": o}
    if c.do is None:
        return got
    if not fixed:
        p = np.where(np.tri(c.S, c.T, dtype=bool), np.exp(s - lse[..., None]), 0)  # BUG: the loops of both kernels stop or begin at the diagonal
    dq, dk, dv, _ = backward(c, p, o)
    for n, y in (("dq", dq), ("dk", dk), ("dv", dv)):
        if n in c.outputs:
            got[n] = y
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "scale", "rule:causal", "dq", "dk", "dv"],
        },
    )
