import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def paper(n):
    """ALiBi's slopes: of the power of two below, and every second one of twice as many heads"""
    whole = 2 ** int(np.log2(n))
    first = [2.0 ** (-8.0 * (h + 1) / whole) for h in range(whole)]
    return np.array(first + [2.0 ** (-8.0 * (h + 1) / (2 * whole)) for h in range(0, 2 * (n - whole), 2)])


def fn(c, fixed):
    """mlx#3071: ALiBi's slopes are one geometric sequence, 2^(-8 (h + 1) / n), with any number of heads n: right for powers of two only"""
    if rule(c.case, "alibi") and not fixed:
        plain = 2.0 ** (-8.0 * (np.arange(c.H) + 1) / c.H)
        c.bias = c.bias * (plain / paper(c.H)).astype(c.wide)[None, :, None, None]
    return {"out": attend(c, c.mask)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "num_heads": [1, 16], "num_kv_heads": [1, 16]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:causal",
                "rule:alibi",
                "align:bottom_right",
            ],
        },
    )
