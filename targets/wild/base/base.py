"""Shared by the rebuilt bugs: a plain NumPy attention (forward, backward, lse) and a target class."""

import sys, os
import numpy as np
from attnfuzz_worker import Declined, rule, to_layout, widen, visible

NP = {"f64": np.float64, "f32": np.float32, "f16": np.float16}


def to_bf16_bits(x):
    u = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    r = ((u >> 16) & 1) + 0x7FFF
    out = ((u + r) >> 16).astype(np.uint16)
    out[np.isnan(x)] = 0x7FC0
    return out


def round_to(x, dtype):
    """value rounded to dtype, as f32/f64"""
    if dtype == "bf16":
        return (to_bf16_bits(x).astype(np.uint32) << 16).view(np.float32)
    if dtype == "f16":
        return np.asarray(x, np.float32).astype(np.float16).astype(np.float32)
    return np.asarray(x, NP[dtype])


class Call:
    def __init__(self, case, tensors):
        p = self.p = case["problem"]
        self.case = case
        self.t = tensors
        self.dtype = p["dtype"]
        self.wide = np.float64 if self.dtype == "f64" else np.float32
        g = lambda n: widen(to_layout(case, tensors[n], "bhsd"), self.dtype).astype(self.wide) if n in tensors else None
        self.q, self.k, self.v, self.do = g("q"), g("k"), g("v"), g("grad_out")
        w = lambda n: widen(tensors[n], self.dtype).astype(self.wide) if n in tensors else None
        self.bias, self.sinks = w("bias"), w("sinks")
        self.mask = visible(tensors)
        self.B, self.H, self.Hk = p["batch"], p["num_heads"], p["num_kv_heads"]
        self.S, self.T, self.D, self.Dv = p["q_len"], p["kv_len"], p["head_dim"], p["head_dim_v"]
        self.scale = self.wide(self.D**-0.5 if p["scale"] is None else p["scale"])
        self.softcap = self.wide(p["softcap"])
        self.align = p["mask"]["align"]
        self.outputs = p.get("outputs", ["out"])

    def rep(self, x):  # grouped
        return np.repeat(x, self.H // self.Hk, axis=1)

    def off(self):
        return self.T - self.S if self.align == "bottom_right" else 0

    def pos(self):
        return np.arange(self.S)[:, None] + self.off(), np.arange(self.T)[None, :]

    def causal_mask(self):
        i, j = self.pos()
        return j <= i

    def window_mask(self, w):
        i, j = self.pos()
        m = np.ones((self.S, self.T), bool)
        if w is None:
            return m
        return (j >= i - w["left"]) & (j <= i + w["right"])

    def lens_mask(self):
        r = rule(self.case, "padding")
        if r is None:
            return np.ones((self.B, 1, 1, self.T), bool)
        j = np.arange(self.T)
        l = np.array(r["lens"])[:, None]
        m = j < l if r["side"] == "right" else j >= self.T - l
        return m[:, None, None, :]

    def out(self, x, name="out"):
        """to the case's dtype and layout"""
        if self.dtype == "bf16":
            x = to_bf16_bits(x)
        else:
            x = x.astype(NP[self.dtype])
        return np.ascontiguousarray(to_layout(self.case, x, "bhsd"))


def scores(c, q=None, k=None, scale=None):
    q = c.q if q is None else q
    k = c.rep(c.k) if k is None else k
    s = (q @ k.swapaxes(-1, -2)) * (c.scale if scale is None else scale)
    if c.softcap:
        s = c.softcap * np.tanh(s / c.softcap)
    if c.bias is not None:
        s = s + c.bias
    return s


def softmax(s, mask=None, sinks=None):
    """p and lse; rows that see no key: zeros"""
    if mask is not None:
        s = np.where(mask, s, s.dtype.type(-np.inf))
    m = s.max(-1, keepdims=True)
    if sinks is not None:
        m = np.maximum(m, sinks[None, :, None, None])
    m = np.where(np.isfinite(m), m, 0).astype(s.dtype)
    e = np.exp(s - m)
    l = e.sum(-1, keepdims=True)
    if sinks is not None:
        l = l + np.exp(sinks[None, :, None, None] - m)
    with np.errstate(divide="ignore"):
        lse = np.log(l) + m
    return e / np.where(l == 0, 1, l), lse[..., 0]


def attend(c, mask=None, sinks=None, s=None, v=None):
    s = scores(c) if s is None else s
    p, lse = softmax(s, mask, sinks)
    return p @ (c.rep(c.v) if v is None else v), p, lse


def backward(c, p, o, do=None):
    """dq, dk, dv with probabilities p (no softcap)"""
    do = c.do if do is None else do
    v, k = c.rep(c.v), c.rep(c.k)
    dp = do @ v.swapaxes(-1, -2)
    delta = (do * o).sum(-1, keepdims=True)
    ds = p * (dp - delta) * c.scale
    dq = ds @ k
    group = lambda x: x.reshape(c.B, c.Hk, c.H // c.Hk, *x.shape[2:]).sum(2)
    return dq, group(ds.swapaxes(-1, -2) @ c.q), group(p.swapaxes(-1, -2) @ do), ds


class Bug:
    """One target; fn(c, fixed) -> dict of arrays in bhsd (out, dq, dk, dv) or already finished (lse, dsinks)."""

    version = "rebuilt"

    def __init__(self, name, fn, caps, fixed):
        self.name, self.fn, self.capabilities, self.fixed = name, fn, caps, fixed
        self.about = ("fixed" if fixed else "bug") + " " + (fn.__doc__ or "").strip().split("\n")[0]
        self.state = {}

    def run(self, case, tensors):
        c = Call(case, tensors)
        c.state = self.state
        with np.errstate(all="ignore"):
            got = self.fn(c, self.fixed)
        return [{n: (c.out(x) if n in ("out", "dq", "dk", "dv") else x) for n, x in got.items()}]


def pair(file, fn, caps):
    stem = os.path.splitext(os.path.basename(file))[0].replace("_", "-")
    return [Bug(f"{stem}:bug", fn, caps, False), Bug(f"{stem}:fixed", fn, caps, True)]


SIZES = {
    "batch": [1, 4],
    "num_heads": [1, 8],
    "num_kv_heads": [1, 8],
    "q_len": [1, 70],
    "kv_len": [1, 70],
    "head_dim": [1, 64],
    "head_dim_v": [1, 64],
}
