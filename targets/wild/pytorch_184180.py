import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """pytorch#184180: MPS vector kernel: offset of a [batch, 1, q, kv] mask is (b * heads + h) * head stride: row 0's for all"""
    r = rule(c.case, "boolean")
    m = c.mask
    if r and r["shape"] == "bqk" and not fixed:
        m = np.broadcast_to(m[:1], m.shape)
    o, p, _ = attend(c, m)
    return {"out": o}


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
                "longer_q",
                "scale",
                "rule:boolean",
                *(f"boolean.shape:{s}" for s in ("qk", "bqk", "hqk", "bhqk")),
                "fully_masked:any",
            ],
        },
    )
