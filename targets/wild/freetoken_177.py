import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


TILE = 16  # query heads for one block


def fn(c, fixed):
    """FreeToken#177: decoding takes tiles of 16 query heads over all of them and derives the KV head from the tile: a tile that crosses a group's end serves it wrongly"""
    group = c.H // c.Hk
    kv = np.arange(c.H) // group
    if not fixed:
        tile = min(TILE, group)
        kv = np.minimum(np.arange(c.H) // tile // -(-group // tile), c.Hk - 1)  # BUG: tiles begin anew with each group
    k, v = c.k[:, kv], c.v[:, kv]
    p, _ = softmax(scores(c, k=k))
    return {"out": p @ v}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "num_heads": [40, 80, 8], "num_kv_heads": [2, 4, 2], "q_len": [1, 4], "kv_len": [1, 40]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "cross", "longer_q", "scale"],
        },
    )
