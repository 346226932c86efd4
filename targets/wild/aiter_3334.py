import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """aiter#3334: the mean of the keys is taken off before the scores, which the output does not notice, and is not given back to the lse"""
    m = c.causal_mask() if rule(c.case, "causal") else None
    mean = c.rep(c.k.mean(2, keepdims=True))
    o, _, lse = attend(c, m, s=scores(c, k=c.rep(c.k) - mean))
    got = {"out": o}
    if "lse" in c.outputs:
        if fixed:
            lse = lse + (c.q @ mean.swapaxes(-1, -2))[..., 0] * c.scale
        got["lse"] = lse.astype(np.float32)
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
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "lse",
                "rule:causal",
                "align:bottom_right",
            ],
        },
    )
