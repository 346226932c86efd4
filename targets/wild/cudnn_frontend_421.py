import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """cudnn-frontend#421: DSA backward, value size other than the key's: P is rebuilt without the sink, and dsinks is left at zero"""
    m = np.broadcast_to(c.causal_mask() if rule(c.case, "causal") else np.True_, (c.B, c.H, c.S, c.T))
    s = scores(c)
    o, p, lse = attend(c, m, c.sinks, s=s)
    got = {"out": o}
    if c.do is None:
        return got
    dsinks = np.zeros(c.H, c.wide)
    if c.sinks is not None:
        if c.D != c.Dv and not fixed:
            p, _ = softmax(s, m)  # BUG: the operations for the sink are guarded by same_hdim_kv
        else:
            delta = (c.do * o).sum(-1)
            dsinks = -(np.exp(c.sinks[None, :, None] - lse) * delta).sum((0, 2))
    dq, dk, dv, _ = backward(c, p, o)
    for n, y in (("dq", dq), ("dk", dk), ("dv", dv), ("dsinks", dsinks.astype(np.float32))):
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
                "sinks",
                "rule:causal",
                "align:bottom_right",
                "dq",
                "dk",
                "dv",
                "dsinks",
            ],
        },
    )
