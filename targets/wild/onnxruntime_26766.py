import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """onnxruntime#26766/26769: WebGPU MHA reads a broadcast attention_bias as if it were [batch, heads, q, kv]"""
    r = rule(c.case, "bias")
    bias = c.bias
    if r is not None and not fixed:
        s = r["shape"]
        b = bias if "b" in s else bias[:1]
        b = b if "h" in s else b[:, :1]
        flat = np.ascontiguousarray(b).reshape(-1)
        n = c.B * c.H * c.S * c.T
        full = np.zeros(n, c.wide)  # reads past the buffer give 0 (robust access)
        full[: min(n, flat.size)] = flat[:n]
        c.bias = full.reshape(c.B, c.H, c.S, c.T)
    o, p, _ = attend(c, None)
    return {"out": o}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["num_heads", "num_kv_heads"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "cross",
                "longer_q",
                "head_dim_v",
                "scale",
                "rule:bias",
                *(f"bias.shape:{s}" for s in ("qk", "bqk", "hqk", "bhqk")),
            ],
        },
    )
