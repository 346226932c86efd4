import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """XunhaoLai/native-sparse-attention-triton#27: the kernel of dq cuts v and grad_out at head_dim: where the values are wider, their other channels do not enter dq"""
    m = np.broadcast_to(c.causal_mask() if rule(c.case, "causal") else np.True_, (c.B, c.H, c.S, c.T))
    o, p, _ = attend(c, m)
    got = {"out": o}
    if c.do is None:
        return got
    dq, dk, dv, _ = backward(c, p, o)
    if not fixed and c.Dv > c.D:
        v = c.rep(c.v)
        dp = c.do[..., : c.D] @ v[..., : c.D].swapaxes(-1, -2)  # BUG: all head_dim_v channels
        dq = p * (dp - (c.do * o).sum(-1, keepdims=True)) * c.scale @ c.rep(c.k)
    for n, y in (("dq", dq), ("dk", dk), ("dv", dv)):
        if n in c.outputs:
            got[n] = y
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "head_dim_v",
                "scale",
                "rule:causal",
                "align:bottom_right",
                "dq",
                "dk",
                "dv",
            ],
        },
    )
