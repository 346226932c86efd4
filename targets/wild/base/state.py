"""Attention with a state: S [B, G, D, E], token by token."""

import numpy as np

STEPS = ("prefill", "append", "decode", "reorder", "fork", "reset")


def claims(kinds, steps=STEPS, extra=(), sizes=None, **more):
    s = {
        "batch": [1, 3],
        "num_heads": [1, 4],
        "num_kv_heads": [1, 4],
        "q_len": [1, 20],
        "kv_len": [1, 60],
        "head_dim": [1, 12],
        "head_dim_v": [1, 12],
        "steps": [1, 6],
    }
    s.update(sizes or {})
    return {
        "sizes": s,
        "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "head_dim_v", "rule:causal", "cache:dynamic", "scale"]
        + [f"kind:{k}" for k in kinds]
        + [f"step:{x}" for x in steps]
        + list(extra),
        **more,
    }


class State:
    name, version, about = "base:state", "1.0", "right"
    capabilities = claims(("ssd", "gated_delta"), extra=("ragged",))

    def open(self, case, tensors):
        self.case, self.p, self.t = case, case["problem"], tensors
        p = self.p
        self.kind = p["kind"]
        self.B, self.H, self.G, self.D, self.E = (
            p[n] for n in ("batch", "num_heads", "num_kv_heads", "head_dim", "head_dim_v")
        )
        self.scale = p["scale"] if p["scale"] is not None else self.D**-0.5
        self.S = np.zeros((self.B, self.G, self.D, self.E))
        self.len = [0] * self.B

    def token(self, S, q, k, v, g, beta):
        """S [G,D,E], q [H,D], k [G,D], v [G,E], g [G], beta [G] → S, out [H,E]"""
        S = S * np.exp(g)[:, None, None]
        u = v if self.kind == "ssd" else beta[:, None] * (v - np.einsum("gde,gd->ge", S, k))
        S = S + k[:, :, None] * u[:, None, :]
        return S, self.scale * np.einsum("hde,hd->he", np.repeat(S, self.H // self.G, 0), q)

    def state_of(self, b, L, step):
        return self.S[b]

    def keep(self, b, S, L, step):
        self.S[b] = S

    def row(self, b, q, k, v, g, beta, step):
        S, out = self.state_of(b, q.shape[1], step), np.zeros((self.H, q.shape[1], self.E))
        for i in range(q.shape[1]):
            S, out[:, i] = self.token(S, q[:, i], k[:, i], v[:, i], g[:, i], None if beta is None else beta[:, i])
        self.keep(b, S, q.shape[1], step)
        return out

    def reorder(self, rows):
        self.S, self.len = self.S[rows].copy(), [self.len[i] for i in rows]

    def fork(self, a, b):
        self.S[b], self.len[b] = self.S[a], self.len[a]

    def reset(self):
        self.S[:] = 0
        self.len = [0] * self.B

    def run(self, case, tensors):
        self.open(case, tensors)
        for n, step in enumerate(case["steps"]):
            res = {}
            if step["op"] in ("prefill", "append", "decode"):
                q, k, v, g = (tensors[f"{x}.{n}"].astype(np.float64) for x in ("q", "k", "v", "gate"))
                beta = tensors[f"beta.{n}"].astype(np.float64) if f"beta.{n}" in tensors else None
                out = np.zeros(q.shape[:3] + (self.E,), np.float32)
                for b in range(self.B):
                    L = step["lens"][b] if step.get("lens") else q.shape[2]
                    if L:
                        out[b, :, :L] = self.row(
                            b,
                            q[b, :, :L],
                            k[b, :, :L],
                            v[b, :, :L],
                            g[b, :, :L],
                            None if beta is None else beta[b, :, :L],
                            step,
                        )
                        self.len[b] += L
                res["out"] = out
            elif step["op"] == "reorder":
                self.reorder(step["rows"])
            elif step["op"] == "fork":
                self.fork(step["from"], step["to"])
            else:
                self.reset()
            res["lengths"] = list(self.len)
            yield res
