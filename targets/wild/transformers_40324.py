import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """transformers#40324: with left padding the chunks of Llama 4's mask begin at slot 0, padding counted, not at the row's first token"""
    i, j = c.pos()
    m = np.broadcast_to(c.lens_mask() & c.causal_mask(), (c.B, 1, c.S, c.T))
    if r := rule(c.case, "chunk"):
        pad = rule(c.case, "padding")
        first = np.array([c.T - n for n in pad["lens"]] if pad else [0] * c.B)[:, None, None]
        if not fixed:
            first = first * 0  # BUG: the row's padding
        m = m & ((i - first) // r["size"] == (j - first) // r["size"])[:, None]
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "scale",
                "rule:causal",
                "rule:chunk",
                "chunk.origin:token",
                "rule:padding",
                "padding.side:left",
                "fully_masked:any",
            ],
            "requires": [["rule:chunk", "rule:causal"], ["dtype:f32", "rule:causal"]],
            "max_rules": 3,
        },
    )
