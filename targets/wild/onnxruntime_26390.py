import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def turn(x, pos, base, stride):
    """Interleaved pairs, eight at a time; the sines of a position are d/2 numbers of one long table"""
    d = x.shape[-1]
    n = np.arange(d // 2)
    at = pos[:, None] * (d // 2) + n // 8 * stride + n % 8
    a = (at // (d // 2)) * base ** (-2.0 * (at % (d // 2)) / d)
    u, w = x[..., 0::2].astype(np.float64), x[..., 1::2].astype(np.float64)
    y = np.empty(x.shape, np.float64)
    y[..., 0::2], y[..., 1::2] = u * np.cos(a) - w * np.sin(a), u * np.sin(a) + w * np.cos(a)
    return y.astype(x.dtype)


def fn(c, fixed):
    """onnxruntime#26390: NEON, interleaved rope: the table of sines is read at i, the number of the element, in place of i / 2"""
    if c.p.get("rope", "none") != "none":
        b = c.p.get("rope_base", 10000)
        stride = 8 if fixed else 16
        c.q, c.k = turn(c.q, np.arange(c.S), b, stride), turn(c.k, np.arange(c.T), b, stride)
    return {"out": attend(c, c.mask)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "head_dim": [16, 128, 16], "head_dim_v": [16, 128, 16]},
            "equal": [["q_len", "kv_len"], ["head_dim", "head_dim_v"]],
            "features": ["dtype:f16", "layout:bshd", "gqa", "mqa", "scale", "rope:interleaved", "rule:causal"],
            "precision": {"f16": {"accumulate": "f32", "p": "f32"}},
        },
    )
