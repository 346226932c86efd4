import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


TILE = 4  # queries of a tile


def fn(c, fixed):
    """PaddlePaddle/FastDeploy#3514: keys before a tile's first query are taken as seen without a look at the mask, as in a causal one: of a draft tree too, where they may be on another branch"""
    m = c.mask
    if rule(c.case, "tree") and not fixed:
        i, j = np.arange(c.S)[:, None], np.arange(c.T)[None, :]
        m = m | (j < c.off() + i // TILE * TILE)  # BUG: the mask is to be asked from the tree's first token on
    return {"out": attend(c, m)[0]}


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
                "rule:tree",
                "align:bottom_right",
            ],
            "requires": [["dtype:f32", "align:bottom_right"]],
        },
    )
