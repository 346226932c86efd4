import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """sglang#26513: prefix (paged) and new tokens (ragged) merged by lse: neither part has the window"""
    w = rule(c.case, "window")
    m = c.causal_mask() & (c.window_mask(w) if fixed else True)
    o = np.zeros((c.B, c.H, c.S, c.Dv), c.wide)
    L = np.full((c.B, c.H, c.S), -np.inf, c.wide)
    v = c.rep(c.v)
    s = scores(c)
    for a, b in ((0, c.T - c.S), (c.T - c.S, c.T)):
        if a >= b:
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
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:causal",
                "rule:window",
                "align:bottom_right",
            ],
            "requires": [["dtype:f32", "rule:causal"], ["rule:causal", "rule:window"]],
        },
    )
