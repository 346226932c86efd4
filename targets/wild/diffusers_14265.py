import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """diffusers#14265: ring attention over two ranks: each turn of the backward pass reads the keys, output and lse saved in the first turn"""
    s = scores(c)
    o, p, _ = attend(c, None, s=s)
    got = {"out": o}
    if c.do is None:
        return got
    if fixed:
        dq, dk, dv, _ = backward(c, p, o)
    else:
        half = c.S // 2
        v, k = c.rep(c.v), c.rep(c.k)
        dq, dk, dv = np.zeros_like(c.q), 0, 0
        group = lambda x: x.reshape(c.B, c.Hk, c.H // c.Hk, *x.shape[2:]).sum(2)
        for rank in (slice(0, half), slice(half, c.S)):
            q, do = c.q[:, :, rank], c.do[:, :, rank]
            own, _ = softmax(s[:, :, rank, rank])
            dp = do @ v[:, :, rank].swapaxes(-1, -2)
            delta = (do * (own @ v[:, :, rank])).sum(-1, keepdims=True)
            ds = own * (dp - delta) * c.scale
            dq[:, :, rank] = 2 * (ds @ k[:, :, rank])
            dk = dk + group(ds.swapaxes(-1, -2) @ q)
            dv = dv + group(own.swapaxes(-1, -2) @ do)
        dk, dv = np.concatenate([dk, dk], 2), np.concatenate([dv, dv], 2)
    for n, y in (("dq", dq), ("dk", dk), ("dv", dv)):
        if n in c.outputs:
            got[n] = y
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [2, 70, 2], "kv_len": [2, 70, 2]},
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "scale", "dq", "dk", "dv"],
        },
    )
