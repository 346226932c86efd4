import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


TILE = 16


def fn(c, fixed):
    """rocm-libraries#12227: split-KV: an empty first split gives the sink as its sum, and the first split with keys starts from it again"""
    i, j = c.pos()
    m = np.ones((c.S, c.T), bool)
    if rule(c.case, "causal"):
        m &= c.causal_mask()
    w = rule(c.case, "window")
    if w:
        m &= c.window_mask(w)
    s, v = scores(c), c.rep(c.v)
    splits = 4
    step = -(-c.T // (splits * TILE)) * TILE
    o = np.zeros((c.B, c.H, c.S, c.Dv), c.wide)
    L = np.full((c.B, c.H, c.S), -np.inf, c.wide)
    sink = None if c.sinks is None else np.broadcast_to(c.sinks[None, :, None], L.shape)
    if sink is not None:
        L = sink.copy()
    for q0 in range(0, c.S, TILE):
        rows = slice(q0, q0 + TILE)
        first = max(0, int(i[q0, 0]) - w["left"]) // TILE * TILE if w else 0
        if sink is not None and not fixed and first >= step:
            L[..., rows] = np.logaddexp(L[..., rows], sink[..., rows])
        for a in range(0, c.T, step):
            k0, k1 = max(a, first), min(a + step, c.T)
            if k0 >= k1:
                continue
            x = s[..., rows, k0:k1]
            p, l = softmax(x, np.broadcast_to(m[rows, k0:k1], x.shape))
            n = np.logaddexp(L[..., rows], l)
            f = np.where(np.isfinite(n), n, 0)
            o[..., rows, :] = (
                o[..., rows, :] * np.exp(L[..., rows] - f)[..., None]
                + (p @ v[..., k0:k1, :]) * np.exp(l - f)[..., None]
            )
            L[..., rows] = n
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "kv_len": [1, 200]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "sinks",
                "rule:causal",
                "rule:window",
                "align:bottom_right",
            ],
            "requires": [["rule:window", "rule:causal"]],
            "tiles": {"kv_len": [TILE], "q_len": [TILE]},
        },
    )
