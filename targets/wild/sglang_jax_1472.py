import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """sglang-jax#1472: rope's frequencies are rounded to the model's type, bf16, before they are multiplied with the positions"""
    if c.p.get("rope", "none") != "none":
        h = c.D // 2
        f = c.p.get("rope_base", 10000.0) ** (-2.0 * np.arange(h) / c.D)
        if not fixed:
            f = round_to(f.astype(np.float32), "bf16").astype(np.float64)  # BUG: the angle's error grows with the position

        def turn(x):
            a = np.arange(x.shape[2])[:, None] * f
            u, w = x[..., :h].astype(np.float64), x[..., h:].astype(np.float64)
            y = np.concatenate([u * np.cos(a) - w * np.sin(a), w * np.cos(a) + u * np.sin(a)], -1)
            return y.astype(c.wide)

        c.q, c.k = turn(c.q), turn(c.k)
    return {"out": attend(c, c.mask)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 300], "kv_len": [1, 300], "head_dim": [2, 64, 2], "head_dim_v": [2, 64, 2]},
            "equal": [["q_len", "kv_len"], ["head_dim", "head_dim_v"]],
            "features": ["dtype:bf16", "layout:bshd", "gqa", "mqa", "scale", "rule:causal", "rope:half"],
            "precision": {"bf16": {"accumulate": "f32", "p": "f32"}},
        },
    )
