"""A quantised cache: codes and scales."""

import numpy as np
from wildcache import ALL, Cache, claims, attend

LARGEST = {"int8": 127.0, "e4m3": 448.0, "e5m2": 57344.0}


def to_type(y, quant):
    m = LARGEST[quant]
    y = np.clip(y, -m, m)
    if quant == "int8":
        return np.rint(y)
    bits, emin = (3, -6) if quant == "e4m3" else (2, -14)
    e = np.floor(np.log2(np.where(y == 0, 1, np.abs(y))))
    step = 2.0 ** (np.maximum(e, emin) - bits)
    return np.clip(np.rint(y / step) * step, -m, m)


class Quant(Cache):
    name = "base:quant"

    def open(self, case, tensors):
        super().open(case, tensors)
        self.q = self.c.get("quant", "none")
        self.ks = [np.zeros((self.G, 0)) for _ in range(self.B)]
        self.vs = [np.zeros((self.G, 0)) for _ in range(self.B)]

    def scales(self, x, which, step):
        """[G, n]"""
        if self.q == "none":
            return np.ones(x.shape[:2])
        if self.c.get("scales", "token") == "head":
            return np.repeat(self.t[f"{which}_scales"].astype(np.float64)[:, None], x.shape[1], 1)
        return (np.abs(x).max(-1).astype(np.float32) / np.float32(LARGEST[self.q])).astype(np.float64)

    def write_scales(self, s, which, step):
        return s

    def encode(self, x, s):
        if self.q == "none":
            return x
        return to_type(
            (x.astype(np.float32) / np.where(s == 0, 1, s)[..., None].astype(np.float32)).astype(np.float64), self.q
        )

    def append(self, b, k, v, pos, step):
        r = self.rows[b]
        ks, vs = self.scales(k, "k", step), self.scales(v, "v", step)
        r.k = np.concatenate([r.k, self.encode(k, self.write_scales(ks, "k", step))], 1)
        r.v = np.concatenate([r.v, self.encode(v, self.write_scales(vs, "v", step))], 1)
        r.pos = np.concatenate([r.pos, pos])
        self.ks[b] = np.concatenate([self.ks[b], ks], 1)
        self.vs[b] = np.concatenate([self.vs[b], vs], 1)

    def read(self, b, step):
        r = self.rows[b]
        return r.k * self.ks[b][..., None], r.v * self.vs[b][..., None]

    def attend_row(self, b, q, pos, step):
        k, v = self.read(b, step)
        return attend(q, k, v, self.sees(pos, self.rows[b].pos), self.scale)

    def reorder(self, rows):
        super().reorder(rows)
        self.ks, self.vs = [self.ks[i].copy() for i in rows], [self.vs[i].copy() for i in rows]

    def fork(self, a, b):
        super().fork(a, b)
        self.ks[b], self.vs[b] = self.ks[a].copy(), self.vs[a].copy()

    def crop(self, length):
        super().crop(length)
        self.ks, self.vs = [s[:, :length] for s in self.ks], [s[:, :length] for s in self.vs]

    def reset(self):
        super().reset()
        self.ks = [np.zeros((self.G, 0)) for _ in range(self.B)]
        self.vs = [np.zeros((self.G, 0)) for _ in range(self.B)]


STEPS = [s for s in ALL if s != "evict"]
QUANT = claims(("dynamic",), STEPS, ("quant:int8", "quant:e4m3", "quant:e5m2", "scales:token", "scales:head", "ragged"))
