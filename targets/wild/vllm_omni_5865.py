import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """vllm-omni#5865: where q_len is not kv_len, the keys' padding mask unpads the queries too; what it drops comes back as zeros"""
    keys = np.broadcast_to(c.lens_mask()[:, 0, 0], (c.B, c.T))
    o, _, _ = attend(c, np.broadcast_to(keys[:, None, None], (c.B, c.H, c.S, c.T)))
    if fixed or c.S == c.T:
        return {"out": o}
    kept = keys[:, -c.S :]
    flat = np.flatnonzero(kept)
    rows = np.repeat(np.arange(c.B), kept.sum(1))
    q = c.q.swapaxes(1, 2).reshape(c.B * c.S, c.H, c.D)
    out = np.zeros((c.B * c.S, c.H, c.Dv), o.dtype)
    for b in range(c.B):
        at, n = flat[rows == b], keys[b]
        if not len(at) or not n.any():
            continue
        s = (q[at].swapaxes(0, 1) @ c.rep(c.k)[b][:, n].swapaxes(-1, -2)) * c.scale
        out[at] = (softmax(s)[0] @ c.rep(c.v)[b][:, n]).swapaxes(0, 1)
    return {"out": out.reshape(c.B, c.S, c.H, c.Dv).swapaxes(1, 2)}


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
                "longer_q",
                "head_dim_v",
                "scale",
                "rule:padding",
                "padding.side:right",
                "fully_masked:any",
            ],
        },
    )
