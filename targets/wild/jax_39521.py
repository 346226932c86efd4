import sys, os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
from base import *

REQUIRES = ["numpy"]


def fn(c, fixed):
    """jax-ml/jax#39521: the offset at which a packed sequence's keys and values begin is multiplied with the stride of a query token, num_heads * head_dim: too far on with fewer KV heads"""
    m = np.ones((c.S, c.T), bool)
    if d := rule(c.case, "documents"):
        starts = np.repeat(np.cumsum([0] + d["lens"])[:-1], d["lens"])
        m = starts[:, None] == starts[None, :]
        if not fixed:
            far = starts * (c.H // c.Hk)  # BUG: starts
            at = np.arange(c.B)[:, None] * c.T + far + np.arange(c.T) - starts  # [batch, kv_len] in tokens of the whole batch
            for n in "kv":
                x = getattr(c, n).swapaxes(1, 2)
                flat = x.reshape(c.B * c.T, *x.shape[2:])
                y = np.where((at < c.B * c.T)[..., None, None], flat[np.minimum(at, c.B * c.T - 1)], 0)
                setattr(c, n, np.ascontiguousarray(y.swapaxes(1, 2)).astype(c.wide))
    if rule(c.case, "causal"):
        m = m & c.causal_mask()
    return {"out": attend(c, np.broadcast_to(m, (c.B, c.H, c.S, c.T)))[0]}


def targets():
    return pair(
        __file__,
        fn,
        {
            "sizes": SIZES,
            "equal": [["head_dim", "head_dim_v"], ["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "scale", "rule:causal", "rule:documents"],
        },
    )
