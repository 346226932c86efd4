import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """MSLK#263: the backward pass of the window's branch calls SDPA with is_causal=False and no window: gradients of full attention"""
    m = np.ones((c.S, c.T), bool)
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    if w := rule(c.case, "window"):
        m = m & c.window_mask(w)
    s = scores(c)
    o, p, _ = attend(c, np.broadcast_to(m, s.shape), s=s)
    got = {"out": o}
    if c.do is None:
        return got
    dq, dk, dv, _ = backward(c, p, o) if fixed else backward(c, *reversed(attend(c, None, s=s)[:2]))
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
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": [
                "dtype:f32",
                "layout:bshd",
                "gqa",
                "mqa",
                "scale",
                "rule:causal",
                "rule:window",
                "dq",
                "dk",
                "dv",
            ],
            "requires": [["rule:window", "rule:causal"]],
        },
    )
