import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """flash-attention#2842: the lse lies [num_heads, tokens]; a row without keys leaves early and writes its -inf as if it lay [batch, num_heads, q_len]"""
    s = scores(c)
    m = np.broadcast_to(c.lens_mask(), s.shape)
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    o, _, lse = attend(c, m, s=s)
    got = {"out": o}
    if "lse" not in c.outputs:
        return got
    flat = np.zeros(c.B * c.H * c.S, np.float32)
    packed = flat.reshape(c.H, c.B, c.S)
    empty = [b for b in range(c.B) if not m[b].any()]  # leaves before any key is read
    for b in range(c.B):
        if fixed or b not in empty:
            packed[:, b] = lse[b]
    if not fixed:
        for b in empty:
            for h in range(c.H):
                at = (b * c.H + h) * c.S  # BUG: (h * batch + b) * q_len
                flat[at : at + c.S] = -np.inf
    got["lse"] = np.ascontiguousarray(packed.swapaxes(0, 1))
    return got


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
                "lse",
                "rule:causal",
                "rule:padding",
                "padding.side:right",
                "align:bottom_right",
                "fully_masked:zero",
            ],
            "max_rules": 2,
        },
    )
