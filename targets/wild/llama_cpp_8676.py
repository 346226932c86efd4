import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def turn(c, x, freq):
    a = np.arange(x.shape[2])[:, None] * freq
    co, si = np.cos(a), np.sin(a)
    d, y, x = c.D, np.empty(x.shape), x.astype(np.float64)
    half = c.p["rope"] == "half"
    one, two = (slice(0, d // 2), slice(d // 2, d)) if half else (slice(0, d, 2), slice(1, d, 2))
    u, w = x[..., one], x[..., two]
    y[..., one], y[..., two] = u * co - w * si, w * co + u * si
    return y.astype(c.wide)


def fn(c, fixed):
    """ggml-org/llama.cpp#8676: llama3's frequencies between the two limits are divided by factor / (1 - smooth) + smooth, where 1 / ((1 - smooth) / factor + smooth) is right"""
    if c.p.get("rope", "none") != "none":
        freq = c.p.get("rope_base", 10000.0) ** (-2.0 * np.arange(c.D // 2) / c.D)
        r = c.p.get("rope_scaling") or {}
        if r.get("law") == "llama3":
            f, low, high = r["factor"], r["low"], r["high"]
            smooth = (r["original_len"] * freq / (2 * np.pi) - low) / (high - low)
            kept = np.clip(smooth, 0, 1)
            by = 1 / ((1 - kept) / f + kept)
            if not fixed:
                between = (smooth > 0) & (smooth < 1)
                by = np.where(between, f / np.where(between, 1 - smooth, 1) + smooth, by)  # BUG
            freq = freq / by
        c.q, c.k = turn(c, c.q, freq), turn(c, c.k, freq)
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
                "rope_scaling:llama3",
            ],
        },
    )
