import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """flashinfer#5090: SM100 block-sparse: the last block of 64 keys is filled with zeros that count"""
    pad = 0 if fixed else -c.T % 64
    k = np.concatenate([c.k, np.zeros((c.B, c.Hk, pad, c.D), c.wide)], 2)
    v = np.concatenate([c.v, np.zeros((c.B, c.Hk, pad, c.Dv), c.wide)], 2)
    m = c.mask
    if m is not None:  # the pad belongs to the block of the last key
        m = np.concatenate([m, np.repeat(m[..., -1:], pad, -1)], -1)
    s = (c.q @ c.rep(k).swapaxes(-1, -2)) * c.scale
    p, _ = softmax(s, m)
    return {"out": p @ c.rep(v)}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 140], "kv_len": [1, 140]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "longer_q",
                "scale",
                "rule:block_sparse",
                "block_sparse.shape:hqk",
                "block_sparse.shape:bhqk",
                "fully_masked:any",
            ],
            "params": {"block_sparse.q_block": [64, 64], "block_sparse.kv_block": [64, 64]},
            "tiles": {"kv_len": [64], "q_len": [64]},
        },
    )
