import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def turn(x, pos, base, style, dim):
    n = np.arange(dim // 2)
    a = pos[:, None] * base ** (-2.0 * n / dim)
    co, si = np.cos(a), np.sin(a)
    y = x.astype(np.float64).copy()
    if style == "half":
        i, j = slice(0, dim // 2), slice(dim // 2, dim)
    else:
        i, j = slice(0, dim, 2), slice(1, dim, 2)
    u, w = x[..., i], x[..., j]
    y[..., i], y[..., j] = u * co - w * si, u * si + w * co
    return y.astype(x.dtype)


def fn(c, fixed):
    """vllm#41185: MLA's rope head is turned by half only: partial_rotary_factor of other layers is passed along"""
    r = c.p.get("rope", "none")
    if r != "none":
        dim = c.D if fixed else c.D // 2
        b = c.p.get("rope_base", 10000)
        c.q = turn(c.q, np.arange(c.S) + c.off(), b, r, dim)
        c.k = turn(c.k, np.arange(c.T), b, r, dim)
    o, p, _ = attend(c, c.mask)
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "head_dim": [4, 64, 4], "head_dim_v": [4, 64, 4]},
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "head_dim_v",
                "scale",
                "rope:half",
                "rope:interleaved",
                "rule:causal",
            ],
            "equal": [["q_len", "kv_len"]],
        },
    )
