"""mlx-lm's RotatingKVCache, as its update paths go: one token is written in place, several are concatenated."""

import numpy as np
from wildcache import Cache, claims, attend


class Rotating(Cache):
    name = "base:rotating"

    def open(self, case, tensors):
        super().open(case, tensors)
        self.max_size, self.offset, self.idx = self.cap, 0, 0
        self.keys = np.zeros((self.B, self.G, 0, self.D))
        self.values = np.zeros((self.B, self.G, 0, self.E))

    def length(self, b):
        return min(self.offset, self.max_size)

    def temporal(self, x):
        if self.idx == x.shape[2]:
            return x
        if self.idx < self.offset:
            return np.concatenate([x[:, :, self.idx :], x[:, :, : self.idx]], 2)
        return x[:, :, : self.idx]

    def concat(self, k, v):
        self.keys, self.values = self.temporal(self.keys), self.temporal(self.values)
        trim = max(self.keys.shape[2] - self.max_size + 1, 0)
        self.keys = np.concatenate([self.keys[:, :, trim:], k], 2)
        self.values = np.concatenate([self.values[:, :, trim:], v], 2)
        self.offset += k.shape[2]
        self.idx = self.keys.shape[2]

    def in_place(self, k, v):
        if self.keys.shape[2] < self.max_size and self.idx == self.keys.shape[2]:
            self.keys, self.values = np.concatenate([self.keys, k], 2), np.concatenate([self.values, v], 2)
        else:
            trim = self.keys.shape[2] - self.max_size
            if trim > 0:
                self.keys, self.values, self.idx = (
                    self.keys[:, :, trim:].copy(),
                    self.values[:, :, trim:].copy(),
                    self.max_size,
                )
            if self.idx == self.max_size:
                self.idx = 0
            self.keys[:, :, self.idx : self.idx + 1], self.values[:, :, self.idx : self.idx + 1] = k, v
        self.idx += 1 if self.idx < self.keys.shape[2] or self.keys.shape[2] >= self.max_size else 1
        self.offset += 1

    def tokens(self, n, step):
        q, k, v = (self.t[f"{x}.{n}"].astype(np.float64) for x in "qkv")
        S = q.shape[2]
        pos = np.arange(self.offset, self.offset + S)
        k, q = self.turn(k, pos), self.turn(q, pos)
        self.in_place(k, v) if S == 1 else self.concat(k, v)
        N = self.keys.shape[2]
        if S == 1:
            seen = np.ones((1, 1, N), bool)
        else:
            seen = self.sees(pos, np.arange(self.offset - N, self.offset))
        return np.stack([attend(q[b], self.keys[b], self.values[b], seen, self.scale) for b in range(self.B)]).astype(
            np.float32
        )

    def reset(self):
        self.offset = self.idx = 0
        self.keys, self.values = self.keys[:, :, :0], self.values[:, :, :0]

    def reorder(self, rows):
        self.keys, self.values = self.keys[rows], self.values[rows]

    def fork(self, a, b):
        self.keys, self.values = self.keys.copy(), self.values.copy()
        self.keys[b], self.values[b] = self.keys[a], self.values[a]


ROTATING = claims(("ring",), ("prefill", "append", "decode", "reorder", "fork", "reset"), ("rope:half",))
