import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """vllm#30887: V of keys outside the sliding window is read (garbage, NaN) and multiplied with p = 0"""
    seen = c.lens_mask()
    w = rule(c.case, "window")
    m = seen & (c.causal_mask() if rule(c.case, "causal") else True)
    if w:
        m = m & c.window_mask(w)
    m = np.broadcast_to(m, (c.B, c.H, c.S, c.T))
    k = np.where(seen.swapaxes(-1, -2), c.k, 0)
    v = np.where(seen.swapaxes(-1, -2), c.v, 0)  # beyond seq_len: masked loads
    if fixed:
        any_ = m.any((1, 2))[:, None, :, None]
        v = np.where(any_, v, 0)
    s = (c.q @ c.rep(k).swapaxes(-1, -2)) * c.scale
    p, _ = softmax(s, m)
    return {"out": p @ c.rep(v)}


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
                "rule:causal",
                "rule:window",
                "rule:padding",
                "padding.side:right",
                "align:bottom_right",
                "fully_masked:any",
                "nonfinite:nan_padding",
                "nonfinite:inf_padding",
                "nonfinite:nan_hidden",
                "nonfinite:inf_hidden",
                "data:large",
                "data:huge",
            ],
            "requires": [["rule:window", "rule:causal"]],
        },
    )
