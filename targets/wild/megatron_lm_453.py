import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def turn(c, x, pos):
    d = c.D
    a = np.asarray(pos, float)[:, None] * c.p.get("rope_base", 10000.0) ** (-2.0 * np.arange(d // 2) / d)
    co, si = np.cos(a), np.sin(a)
    y, x = np.empty(x.shape), x.astype(np.float64)
    half = c.p["rope"] == "half"
    one, two = (slice(0, d // 2), slice(d // 2, d)) if half else (slice(0, d, 2), slice(1, d, 2))
    u, w = x[..., one], x[..., two]
    y[..., one], y[..., two] = u * co - w * si, w * co + u * si
    return y.astype(c.wide)


def fn(c, fixed):
    """NVIDIA/Megatron-LM#453: rope takes the places 0, 1, ... for positions, whatever position ids come along"""
    if c.p.get("rope", "none") != "none":
        pos = np.arange(c.T)
        if given := c.p.get("rope_positions") if fixed else None:  # BUG: never asked for
            pos = np.array(given)
        c.q, c.k = turn(c, c.q, pos), turn(c, c.k, pos)
    return {"out": attend(c, c.mask)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "head_dim": [2, 64, 2], "head_dim_v": [2, 64, 2]},
            "equal": [["q_len", "kv_len"], ["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "scale",
                "rule:causal",
                "rule:documents",
                "rope:half",
                "rope:interleaved",
                "rope_positions",
            ],
        },
    )
