import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """apex#816: the backward pass multiplies what dropout kept with p, not with 1 / (1 - p)"""
    keep = c.wide(c.p.get("dropout_keep", 100) / 100)
    kept = 1 if "dropout" not in c.t else (c.t["dropout"] != 0).astype(c.wide)
    p, _ = softmax(scores(c), c.mask)
    o = (p * kept / keep) @ c.rep(c.v)
    got = {"out": o}
    if c.do is None:
        return got
    factor = 1 / keep if fixed or keep == 1 else 1 - keep
    dp = (c.do @ c.rep(c.v).swapaxes(-1, -2)) * kept * factor
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * c.scale
    group = lambda x: x.reshape(c.B, c.Hk, c.H // c.Hk, *x.shape[2:]).sum(2)
    dq, dk = ds @ c.rep(c.k), group(ds.swapaxes(-1, -2) @ c.q)
    dv = group((p * kept / keep).swapaxes(-1, -2) @ c.do)
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
            "equal": [["num_heads", "num_kv_heads"], ["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bhsd", "cross", "longer_q", "scale", "dropout", "dq", "dk", "dv"],
        },
    )
