import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """vllm#41236: dynamic NTK's base is that of the longest sequence, original_len * factor, whatever the sequence's own length"""
    if c.p.get("rope", "none") != "none":
        d, base, r = c.D, c.p.get("rope_base", 10000.0), c.p.get("rope_scaling") or {}
        if r.get("law") == "dynamic_ntk" and d > 2:
            f, orig = r["factor"], r["original_len"]
            length = c.T if fixed else max(f, 1) * orig  # BUG: a constant: the length of the call belongs here
            if length > orig:
                base = base * (f * length / orig - (f - 1)) ** (d / (d - 2))
        freq = base ** (-2.0 * np.arange(d // 2) / d)

        def turn(x):
            a = np.arange(x.shape[2])[:, None] * freq
            co, si = np.cos(a), np.sin(a)
            y, x = np.empty(x.shape), x.astype(np.float64)
            half = c.p["rope"] == "half"
            one, two = (slice(0, d // 2), slice(d // 2, d)) if half else (slice(0, d, 2), slice(1, d, 2))
            u, w = x[..., one], x[..., two]
            y[..., one], y[..., two] = u * co - w * si, w * co + u * si
            return y.astype(c.wide)

        c.q, c.k = turn(c.q), turn(c.k)
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
                "rope:half",
                "rope:interleaved",
                "rope_scaling:dynamic_ntk",
            ],
        },
    )
