import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


TILE, LOWEST = 8, -100000  # keys for one block; where the running maximum begins


def fn(c, fixed):
    """TensorRT-LLM#19220: the first tile of keys adds exp(sink - max): of a query that sees none of it the maximum is still -1e5"""
    m, w = np.ones((c.S, c.T), bool), rule(c.case, "window")
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    if w:
        m = m & c.window_mask(w)
    s = scores(c)
    m = np.broadcast_to(m, s.shape)
    if c.sinks is None or fixed:
        return {"out": attend(c, m, c.sinks, s=s)[0]}
    any_query = m[0, 0].any(0)
    if not any_query.any():
        return {"out": attend(c, m, c.sinks, s=s)[0]}
    first = int(np.argmax(any_query)) // TILE * TILE
    v, sink = c.rep(c.v), c.sinks[None, :, None, None]
    top = np.full((c.B, c.H, c.S, 1), LOWEST, s.dtype)
    total, acc = np.zeros_like(top), np.zeros((c.B, c.H, c.S, c.Dv), s.dtype)
    for at in range(first, c.T, TILE):
        t = np.where(m, s, s.dtype.type(-np.inf))[..., at : at + TILE]
        new = np.maximum(top, t.max(-1, keepdims=True))
        e, keep = np.exp(t - new), np.exp(top - new)
        total, acc = total * keep + e.sum(-1, keepdims=True), acc * keep + e @ v[:, :, at : at + TILE]
        if at == first:
            total = total + np.exp(sink - new)
        top = new
    return {"out": acc / total}


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
                "sinks",
                "rule:causal",
                "rule:window",
                "align:bottom_right",
            ],
            "requires": [["rule:window", "rule:causal"]],
        },
    )
