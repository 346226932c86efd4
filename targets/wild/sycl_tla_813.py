import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


TILE = 32


def fn(c, fixed):
    """sycl-tla#813: the mask of the last, partial tile of keys is laid along the queries: it hides the tile's later queries, and no key"""
    s = scores(c)
    left = c.T % TILE
    if fixed or not left:
        return {"out": attend(c, None, s=s)[0]}
    more = [(0, 0)] * 2 + [(0, 0), (0, TILE - left)]
    s = np.pad(s, more)  # what lies beyond the keys is loaded as zeros
    v = np.pad(c.rep(c.v), [(0, 0)] * 2 + [(0, TILE - left), (0, 0)])
    m = np.ones((c.S, c.T - left + TILE), bool)
    m[np.arange(c.S) % TILE >= left, c.T - left :] = False
    return {"out": attend(c, np.broadcast_to(m, s.shape), s=s, v=v)[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale"],
            "tiles": {"kv_len": [TILE]},
        },
    )
