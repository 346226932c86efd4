import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def frequencies(c):
    d, base, r = c.D, c.p.get("rope_base", 10000.0), c.p.get("rope_scaling")
    i = np.arange(d // 2)
    own = base ** (-2.0 * i / d)
    if not r:
        return own
    place = lambda turns: d * np.log(r["original_len"] / (turns * 2 * np.pi)) / (2 * np.log(base))
    low, high = place(r["high"]), place(r["low"])
    if r.get("truncate", True):
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, 0), min(high, d - 1)
    ramp = np.clip((i - low) / ((high - low) or 0.001), 0, 1)
    return own / r["factor"] * ramp + own * (1 - ramp)


def fn(c, fixed):
    """sglang#33558: YaRN's attention factor is the final magnitude of the sines, and is multiplied with 0.1 ln(factor) + 1 once more"""
    if c.p.get("rope", "none") != "none":
        r = c.p.get("rope_scaling") or {}
        m = r.get("magnitude", 1.0)
        if "magnitude" in r and not fixed:
            m = m * (0.1 * np.log(r["factor"]) + 1 if r["factor"] > 1 else 1)  # BUG: m is all of it
        f = frequencies(c)

        def turn(x):
            a = np.arange(x.shape[2])[:, None] * f
            cos, sin = m * np.cos(a), m * np.sin(a)
            y, x = np.empty(x.shape), x.astype(np.float64)
            h = c.D // 2
            if c.p["rope"] == "half":
                u, w = x[..., :h], x[..., h:]
                y[..., :h], y[..., h:] = u * cos - w * sin, w * cos + u * sin
            else:
                u, w = x[..., 0::2], x[..., 1::2]
                y[..., 0::2], y[..., 1::2] = u * cos - w * sin, w * cos + u * sin
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
                "rope_scaling:yarn",
                "rope_magnitude",
            ],
        },
    )
