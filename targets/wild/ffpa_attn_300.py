import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """ffpa-attn#300: the backward pass aligns the causal mask at the first key, the forward pass at the last: with fewer queries than keys they differ"""
    causal = rule(c.case, "causal")
    s = scores(c)
    full = np.broadcast_to(c.causal_mask() if causal else np.True_, s.shape)
    o, p, lse = attend(c, full, s=s)
    got = {"out": o}
    if c.do is None:
        return got
    if causal and not fixed:
        p = np.where(np.tri(c.S, c.T, dtype=bool), np.exp(s - lse[..., None]), 0)  # BUG: the offset kv_len - q_len is left out
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
                "dq",
                "dk",
                "dv",
            ],
            "requires": [["rule:causal", "align:bottom_right"]],
        },
    )
