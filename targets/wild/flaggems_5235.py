import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


ROWS = 4  # of the output, for one block of the merging kernel


def fn(c, fixed):
    """FlagGems#5235: the kernel that merges the parts of split-KV steps head_dim from block to block and out.stride(-3) within one: wrong where heads lie inside"""
    m = c.causal_mask() if rule(c.case, "causal") else np.ones((c.S, c.T), bool)
    s, v = scores(c), c.rep(c.v)
    half = c.T // 2
    parts = []
    for a, b in ((0, half), (half, c.T)):
        if a < b:
            p, lse = softmax(s[..., a:b], np.broadcast_to(m[:, a:b], s[..., a:b].shape))
            parts.append((p @ v[..., a:b, :], lse))
    top = np.maximum.reduce([lse for _, lse in parts])
    top = np.where(np.isfinite(top), top, 0)
    w = [np.exp(lse - top)[..., None] for _, lse in parts]
    total = sum(w)
    o = sum(x * y for x, (y, _) in zip(w, parts)) / np.where(total == 0, 1, total)
    split = c.T >= 32 and c.S <= 16  # what the heuristic takes for decoding
    if fixed or not split or c.p["layout"] == "bhsd":
        return {"out": o.astype(c.wide)}
    rows = o.reshape(-1, c.Dv)  # batch, head, query
    room = np.zeros(len(rows) * c.Dv, c.wide)
    for r, row in enumerate(rows):
        first = r // ROWS * ROWS
        at = first * c.Dv + (r - first) * c.H * c.Dv  # BUG: the stride of a query, for rows that count queries of one head
        room[at : at + c.Dv] = row[: max(0, len(room) - at)]
    return {"out": room.reshape(c.B, c.S, c.H, c.Dv).swapaxes(1, 2)}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "features": [
                "dtype:f32",
                "layout:bhsd",
                "layout:bshd",
                "gqa",
                "mqa",
                "cross",
                "head_dim_v",
                "scale",
                "rule:causal",
                "align:bottom_right",
            ],
            "tiles": {"kv_len": [32], "q_len": [16]},
        },
    )
