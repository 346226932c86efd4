import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


FORWARD_TILE, BACKWARD_TILE = 128, 64  # what the padded offsets are rounded to where they are written and where they are read


def padded(cu, i, tile):
    return (int(cu[i]) + i * tile) // tile * tile


def fn(c, fixed):
    """flash-attention#2337: packed backward: lse and rowsum(do * o) are stored at offsets padded by 128, and looked for at those by 64"""
    d = rule(c.case, "documents")
    lens = d["lens"] if d else [c.S]
    cu = np.concatenate([[0], np.cumsum(lens)]).astype(int)
    ids = np.repeat(np.arange(len(lens)), lens)
    m = ids[:, None] == ids[None, :]
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    s = scores(c)
    full = np.broadcast_to(m, s.shape)
    o, p, lse = attend(c, full, s=s)
    got = {"out": o}
    if c.do is None:
        return got
    delta = (c.do * o).sum(-1)
    write = BACKWARD_TILE if fixed else FORWARD_TILE
    room = max(padded(cu, i, FORWARD_TILE) + lens[i] for i in range(len(lens))) + 1
    kept = np.zeros((2, c.B, c.H, room), s.dtype)
    for i, n in enumerate(lens):
        at = padded(cu, i, write)
        kept[0, ..., at : at + n], kept[1, ..., at : at + n] = (x[..., cu[i] : cu[i + 1]] for x in (lse, delta))
    read = np.zeros((2, c.B, c.H, c.S), s.dtype)
    for i, n in enumerate(lens):
        at = padded(cu, i, BACKWARD_TILE)
        read[..., cu[i] : cu[i + 1]] = kept[..., at : at + n]
    p = np.where(full, np.exp(s - read[0][..., None]), 0)
    v, k = c.rep(c.v), c.rep(c.k)
    ds = p * (c.do @ v.swapaxes(-1, -2) - read[1][..., None]) * c.scale
    group = lambda x: x.reshape(c.B, c.Hk, c.H // c.Hk, *x.shape[2:]).sum(2)
    dq, dk, dv = ds @ k, group(ds.swapaxes(-1, -2) @ c.q), group(p.swapaxes(-1, -2) @ c.do)
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
                "rule:documents",
                "dq",
                "dk",
                "dv",
            ],
        },
    )
