"""A right NumPy KV cache, row by row; the rebuilt bugs override one method each."""

import numpy as np


def claims(kinds=("dynamic",), steps=("prefill", "append", "decode"), extra=(), sizes=None, quant=False, **more):
    s = {
        "batch": [1, 3],
        "num_heads": [1, 4],
        "num_kv_heads": [1, 4],
        "q_len": [1, 12],
        "kv_len": [1, 40],
        "head_dim": [2, 16, 2],
        "head_dim_v": [1, 16],
        "steps": [1, 6],
    }
    if any(k in ("fixed", "paged", "ring", "chunked", "hybrid", "sink_window") for k in kinds):
        s["capacity"] = [2 if "sink_window" in kinds else 1, 40]
    if "paged" in kinds:
        s["page_size"] = [1, 8]
    s.update(sizes or {})
    f = ["dtype:f32", "layout:bhsd", "gqa", "mqa", "head_dim_v"]
    if "cross" not in kinds:
        f.append("rule:causal")
    f += [f"cache:{k}" for k in kinds] + [f"step:{x}" for x in steps] + list(extra)
    req = [["dtype:f32", "rule:causal"]] if "cross" not in kinds else []
    return {"sizes": s, "features": f, "requires": req, **more}


def rope_turn(x, pos, base, style="half"):
    """x [..., n, d], pos [n]"""
    d = x.shape[-1]
    h = d // 2
    ang = pos[:, None].astype(np.float64) * base ** (-2.0 * np.arange(h) / d)
    c, s = np.cos(ang), np.sin(ang)
    y = np.empty_like(x, dtype=np.float64)
    if style == "half":
        a, b = x[..., :h], x[..., h:]
        y[..., :h], y[..., h:] = a * c - b * s, b * c + a * s
    else:
        a, b = x[..., 0::2], x[..., 1::2]
        y[..., 0::2], y[..., 1::2] = a * c - b * s, b * c + a * s
    return y


def attend(q, k, v, seen, scale):
    """q [H,Q,D], k [G,N,D], v [G,N,E], seen [G|1,Q,N] → out [H,Q,E] in f64"""
    H, G = q.shape[0], k.shape[0]
    rep = H // G
    k, v = np.repeat(k, rep, 0), np.repeat(v, rep, 0)
    seen = np.repeat(np.broadcast_to(seen, (G,) + seen.shape[1:]), rep, 0)
    s = np.einsum("hqd,hnd->hqn", q.astype(np.float64), k.astype(np.float64)) * scale
    s = np.where(seen, s, -np.inf)
    if s.shape[-1] == 0:
        return np.zeros(q.shape[:2] + (v.shape[-1],))
    m = s.max(-1, keepdims=True)
    p = np.where(seen, np.exp(s - np.where(np.isfinite(m), m, 0)), 0)
    d = p.sum(-1, keepdims=True)
    p = p / np.where(d == 0, 1, d)
    # what is hidden must not leak
    vv = v.astype(np.float64)
    out = np.einsum("hqn,hne->hqe", p, np.where(np.isfinite(vv), vv, 0))
    return out


class Row:
    def __init__(self, G, D, E):
        self.k, self.v = np.zeros((G, 0, D), np.float64), np.zeros((G, 0, E), np.float64)
        self.pos = np.zeros(0, np.int64)
        self.next = 0

    def copy(self):
        r = Row(*self.k.shape[::2], self.v.shape[2])
        r.k, r.v, r.pos, r.next = self.k.copy(), self.v.copy(), self.pos.copy(), self.next
        return r

    def keep(self, idx):
        self.k, self.v, self.pos = self.k[:, idx], self.v[:, idx], self.pos[idx]


class Cache:
    name, version, about = "base:cache", "1.0", "right"
    capabilities = claims(("dynamic", "fixed"))

    def open(self, case, tensors):
        self.case, self.p, self.c, self.t = case, case["problem"], case["cache"], tensors
        p = self.p
        self.B, self.H, self.G, self.D, self.E = (
            p[n] for n in ("batch", "num_heads", "num_kv_heads", "head_dim", "head_dim_v")
        )
        self.scale = p["scale"] if p["scale"] is not None else self.D**-0.5
        self.kind, self.cap = self.c["kind"], self.c.get("capacity", 0)
        self.rope = p.get("rope", "none")
        self.rows = [Row(self.G, self.D, self.E) for _ in range(self.B)]

    # ---- what may be seen
    def sees(self, q_pos, k_pos):
        """[Q], [N] → [G|1,Q,N]"""
        a = k_pos[None, :] <= q_pos[:, None]
        w = (q_pos[:, None] - k_pos[None, :]) < self.cap
        if self.kind == "ring":
            return (a & w)[None]
        if self.kind == "hybrid":
            return np.stack([a if g % 2 == 0 else a & w for g in range(self.G)])
        if self.kind == "sink_window":
            keep = self.c["keep"]
            w = (q_pos[:, None] - k_pos[None, :]) < self.cap - keep
            return (a & (w | (k_pos[None, :] < keep)))[None]
        if self.kind == "chunked":
            return (a & (k_pos[None, :] // self.cap == q_pos[:, None] // self.cap))[None]
        return a[None]

    def forget(self, r):
        if self.kind in ("ring", "sink_window", "chunked") and r.next:
            r.keep(self.sees(np.array([r.next - 1]), r.pos)[0, 0])

    def length(self, b):
        return int(self.rows[b].k.shape[1])

    # ---- steps
    def turn(self, x, pos):
        return x if self.rope == "none" else rope_turn(x, pos, self.p.get("rope_base", 10000.0), self.rope)

    def tokens(self, n, step):
        q, k, v = (self.t[f"{x}.{n}"] for x in "qkv")
        out = np.zeros((self.B, self.H, q.shape[2], self.E), np.float32)
        for b in range(self.B):
            L = step["lens"][b] if step.get("lens") else q.shape[2]
            at = q.shape[2] - L if step.get("side") == "left" else 0
            if L == 0:
                continue
            out[b, :, at : at + L] = self.row_step(
                b, q[b, :, at : at + L], k[b, :, at : at + L], v[b, :, at : at + L], step
            )
        return out

    def row_step(self, b, q, k, v, step):
        r = self.rows[b]
        pos = np.arange(r.next, r.next + q.shape[1])
        self.append(b, k, v, pos, step)
        r.next += q.shape[1]
        o = self.attend_row(b, q, pos, step)
        self.forget(r)
        return o

    def append(self, b, k, v, pos, step):
        r = self.rows[b]
        r.k = np.concatenate([r.k, self.turn(k, pos)], 1)
        r.v = np.concatenate([r.v, v], 1)
        r.pos = np.concatenate([r.pos, pos])

    def attend_row(self, b, q, pos, step):
        r = self.rows[b]
        return attend(self.turn(q, pos), r.k, r.v, self.sees(pos, r.pos), self.scale)

    def reorder(self, rows):
        self.rows = [self.rows[i].copy() for i in rows]

    def fork(self, a, b):
        self.rows[b] = self.rows[a].copy()

    def crop(self, length):
        for r in self.rows:
            if r.k.shape[1] > length:
                r.keep(slice(0, length))
                r.next = int(r.pos[-1]) + 1 if length else 0

    def reset(self):
        self.rows = [Row(self.G, self.D, self.E) for _ in range(self.B)]

    def evict(self, start, count):
        for r in self.rows:
            n = r.k.shape[1]
            gone = max(0, min(n, start + count) - start)
            idx = np.r_[0 : min(start, n), min(n, start + count) : n].astype(int)
            if not gone:
                continue
            if self.c.get("positions") == "shifted":
                old = r.pos[idx]
                new = np.where(np.arange(len(idx)) >= start, old - gone, old)
                k = r.k[:, idx]
                if self.rope != "none":
                    k = rope_turn(k, new - old, self.p.get("rope_base", 10000.0), self.rope)
                r.k, r.v, r.pos, r.next = k, r.v[:, idx], new, r.next - gone
            else:
                r.keep(idx)

    def run(self, case, tensors):
        self.open(case, tensors)
        for n, step in enumerate(case["steps"]):
            op, res = step["op"], {}
            if op in ("prefill", "append", "decode"):
                res["out"] = self.tokens(n, step)
            elif op == "reorder":
                self.reorder(step["rows"])
            elif op == "fork":
                self.fork(step["from"], step["to"])
            elif op == "crop":
                self.crop(step["length"])
            elif op == "reset":
                self.reset()
            elif op == "evict":
                self.evict(step["start"], step["count"])
            res["lengths"] = [self.length(b) for b in range(self.B)]
            yield res


ALL = ("prefill", "append", "decode", "reorder", "fork", "crop", "reset", "evict")
