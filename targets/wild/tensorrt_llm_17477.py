import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """TensorRT-LLM#17477: a row whose scores are all masked has -FLT_MAX as its maximum: each masked score weighs exp(0)"""
    s = scores(c)
    m = np.broadcast_to(c.lens_mask() & (c.causal_mask() if rule(c.case, "causal") else True), s.shape)
    o, p, _ = attend(c, m, s=s)
    if not fixed:
        mean = np.broadcast_to(c.rep(c.v).mean(2, keepdims=True), o.shape)
        o = np.where(m.any(-1)[..., None], o, mean)
    return {"out": o}


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
                "longer_q",
                "scale",
                "rule:causal",
                "rule:padding",
                "padding.side:right",
                "padding.side:left",
                "align:bottom_right",
                "fully_masked:zero",
            ],
        },
    )
