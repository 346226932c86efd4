import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """vllm flash-attention#87: split-kv with swapped groups: the combined lse is written in (heads, batch) order and read as (batch, heads)"""
    o, p, lse = attend(c)
    got = {"out": o}
    if "lse" in c.outputs:
        if not fixed and c.S == 1 and c.H > c.Hk and c.T > 64:  # decode shape, split path
            lse = np.ascontiguousarray(lse.transpose(1, 0, 2)).reshape(lse.shape)
        got["lse"] = lse.astype(np.float32)
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 4], "kv_len": [1, 200]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale", "lse"],
            "tiles": {"kv_len": [64]},
        },
    )
