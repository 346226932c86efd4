import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]

BLOCK_N1, BLOCK_M2 = 32, 16


def fn(c, fixed):
    """intel-xpu-backend-for-triton#7317: one program for each 32 keys makes 16 rows of dq as well: dq of the queries after 16 * ceil(kv_len / 32) is not made"""
    s = scores(c)
    m = np.broadcast_to(c.causal_mask() if rule(c.case, "causal") else np.True_, s.shape)
    o, p, _ = attend(c, m, s=s)
    got = {"out": o}
    if c.do is None:
        return got
    dq, dk, dv, _ = backward(c, p, o)
    if not fixed:
        dq = dq.copy()
        dq[:, :, -(-c.T // BLOCK_N1) * BLOCK_M2 :] = 0  # BUG: BLOCK_M2 must be BLOCK_N1 for this grid
    got.update((n, y) for n, y in (("dq", dq), ("dk", dk), ("dv", dv)) if n in c.outputs)
    return got


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": {**SIZES, "q_len": [1, 140], "kv_len": [1, 140]},
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "scale", "rule:causal", "dq", "dk", "dv"],
            "tiles": {"q_len": [BLOCK_M2], "kv_len": [BLOCK_N1]},
        },
    )
