import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """candle#899: T5's position bias does not take the cache into account: the first new query counts as position 0, not as the one behind the cached keys"""
    if rule(c.case, "relative_bias") and not fixed:
        by_distance = c.bias[:, :, -1, ::-1]  # the last query's: its own key, the one before, ...
        i, j = np.arange(c.S)[:, None], np.arange(c.T)[None, :]
        c.bias = by_distance[:, :, np.maximum(i - j, 0)]  # BUG: i + kv_len - q_len - j
    m = c.causal_mask() if rule(c.case, "causal") else np.True_
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


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
                "rule:causal",
                "rule:relative_bias",
                "relative_bias.direction:past",
                "relative_bias.spacing:log",
                "align:bottom_right",
            ],
            "requires": [["rule:relative_bias", "rule:causal"], ["dtype:f32", "rule:causal"]],
            "max_rules": 2,
        },
    )
