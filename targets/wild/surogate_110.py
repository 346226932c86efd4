import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """surogate#110: the batch offset is added twice to the row index of the block mask"""
    m = c.mask
    if m is not None and not fixed:
        rows = m[:, 0].reshape(c.B * c.S, c.T)
        idx = 2 * c.S * np.arange(c.B)[:, None] + np.arange(c.S)[None]
        got = np.where((idx < len(rows))[..., None], rows[np.minimum(idx, len(rows) - 1)], False)
        m = np.broadcast_to(got[:, None], m.shape)
    o, p, _ = attend(c, m)
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 8]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:boolean",
                "boolean.shape:bqk",
                "fully_masked:any",
            ],
        },
    )
