import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def bucket(n, count, farthest):
    exact = count // 2
    if n < exact:
        return n
    if n >= farthest:
        return count - 1
    return min(count - 1, exact + int(np.log(n / exact) / np.log(farthest / exact) * (count - exact) + 1e-9))


def fn(c, fixed):
    """TransformerLensOrg/TransformerLens#1681: the decoder's relative position bias takes the encoder's buckets, of which half are for keys after the query: only the other half is left for the keys before it"""
    r = rule(c.case, "relative_bias")
    if r and not fixed:
        table = c.bias[:, :, -1, ::-1]  # the last query's: distance 0, 1, ...; of the first half of the buckets each has a distance of its own
        n = np.arange(c.T)
        of = np.array([min(bucket(x, r["buckets"] // 2, r["max_distance"]), c.T - 1) for x in n])  # BUG: all buckets
        i, j = c.pos()
        c.bias = table[:, :, of[np.maximum(i - j, 0)]]
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
