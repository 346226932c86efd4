import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """stable-diffusion.cpp#1625: the mask goes through ggml_transpose before ggml_flash_attn_ext and is read by the wrong stride"""
    m = c.mask
    if m is not None and not fixed:
        flat = np.ascontiguousarray(m[0, 0].T).reshape(-1)
        idx = np.arange(c.S)[:, None] * c.S + np.arange(c.T)[None, :]
        m = np.broadcast_to(np.where(idx < flat.size, flat[np.minimum(idx, flat.size - 1)], True), (c.B, c.H, c.S, c.T))
    o, p, _ = attend(c, m)
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["num_heads", "num_kv_heads"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "cross",
                "longer_q",
                "scale",
                "rule:boolean",
                "boolean.shape:qk",
                "fully_masked:any",
            ],
        },
    )
