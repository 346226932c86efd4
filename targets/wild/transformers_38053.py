import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """transformers#38053: Gemma 3 opens the mask between all image tokens, not those of one image: an image sees the images after it"""
    i, j = c.pos()
    m = np.ones((c.S, c.T), bool)
    r = rule(c.case, "spans")
    if r:
        span = np.repeat(np.arange(len(r["lens"])), r["lens"])
        image = np.repeat(np.array(r["lens"]) > 1, r["lens"])
        same = span[:, None] == span[None, :] if fixed else image[:, None] & image[None, :]
        m = (j <= i) | same
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "scale", "rule:spans"],
        },
    )
