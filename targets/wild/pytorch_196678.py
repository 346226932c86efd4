import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """pytorch#196678: cuDNN backward with attn_mask, kv_len % 128 == 64: padded keys are scored 0: exp(0 - lse) overflows, inf * 0 in dQ"""
    o, p, lse = attend(c, c.mask)
    got = {"out": o}
    if c.do is not None:
        dq, dk, dv, ds = backward(c, p, o)
        if not fixed and c.mask is not None and c.T % 128 == 64:
            x = np.exp(np.float32(0) - lse.astype(np.float32))  # p of a padded key
            dq = dq + (x * 0)[..., None]  # times its zeros
        for n, y in (("dq", dq), ("dk", dk), ("dv", dv)):
            if n in c.outputs:
                got[n] = y
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 200], "kv_len": [1, 200]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:bf16",
                "dtype:f16",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "longer_q",
                "scale",
                "rule:boolean",
                "boolean.shape:qk",
                "boolean.shape:bqk",
                "dq",
                "dk",
                "dv",
                "fully_masked:any",
                "data:large",
            ],
            "precision": {"bf16": {"accumulate": "f32", "p": "f32"}, "f16": {"accumulate": "f32", "p": "f32"}},
            "tiles": {"kv_len": [64, 128], "q_len": [64, 128]},
        },
    )
