import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]

PARTS = 2


def fn(c, fixed):
    """tt-metal#53205: the backward pass of ring attention takes rowsum(grad_out * out) with the out of each part of the keys, not with that of all keys"""
    s = scores(c)
    m = np.broadcast_to(c.causal_mask() if rule(c.case, "causal") else np.True_, s.shape)
    o, p, _ = attend(c, m, s=s)
    got = {"out": o}
    if c.do is None:
        return got
    v, k = c.rep(c.v), c.rep(c.k)
    dp = c.do @ v.swapaxes(-1, -2)
    ds = np.zeros_like(p)
    size = -(-c.T // PARTS)
    for a in range(0, c.T, size):
        part = slice(a, a + size)
        own = o
        if not fixed:
            own = softmax(s[..., part], m[..., part])[0] @ v[:, :, part]  # BUG: o, the out of all parts
        ds[..., part] = p[..., part] * (dp[..., part] - (c.do * own).sum(-1, keepdims=True)) * c.scale
    group = lambda x: x.reshape(c.B, c.Hk, c.H // c.Hk, *x.shape[2:]).sum(2)
    grads = {"dq": ds @ k, "dk": group(ds.swapaxes(-1, -2) @ c.q), "dv": group(p.swapaxes(-1, -2) @ c.do)}
    got.update((n, y) for n, y in grads.items() if n in c.outputs)
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"]],
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "gqa",
                "mqa",
                "cross",
                "scale",
                "rule:causal",
                "align:bottom_right",
                "dq",
                "dk",
                "dv",
            ],
        },
    )
