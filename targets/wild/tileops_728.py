import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


PARTS = 4


def fn(c, fixed):
    """tile-ai/TileOPs#728: split-KV is handed the running sum of the parts' lengths for their lengths: every part but the first goes on over the keys of the parts after it"""
    n = -(-c.T // PARTS)
    j, times = np.arange(c.T), np.zeros(c.T)
    for s in range(PARTS):
        length = n if fixed else n * (s + 1)  # BUG
        times += (j >= s * n) & (j < s * n + length)
    return {"out": attend(c, s=scores(c) + np.log(times).astype(c.wide))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 4]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale"],
        },
    )
