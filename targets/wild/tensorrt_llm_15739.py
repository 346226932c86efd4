import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """TensorRT-LLM#15739: XQA with drafted tokens: rows are [query, head], the sinks are added to the first query's heads only"""
    m = np.broadcast_to(c.causal_mask(), (c.B, c.H, c.S, c.T))
    o, _, _ = attend(c, m, c.sinks)
    if c.sinks is not None and not fixed:
        o = np.concatenate([o[:, :, :1], attend(c, m)[0][:, :, 1:]], 2)
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 8], "kv_len": [1, 200]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "sinks",
                "rule:causal",
                "align:bottom_right",
            ],
            "requires": [["dtype:f32", "rule:causal"]],
        },
    )
