"""executorch#20346: a ring of 2 windows takes pieces of 2 windows: what such a piece overwrites, its first queries still need"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims


class Bug(Cache):
    capabilities = claims(
        ("ring",), ("prefill", "append", "decode"), ("ragged", "rope:half"), {"q_len": [1, 24], "kv_len": [1, 60]}
    )
    BUG = True

    def open(self, case, tensors):
        super().open(case, tensors)
        self.room = 2 * self.cap
        self.k = np.zeros((self.B, self.G, self.room, self.D))
        self.v = np.zeros((self.B, self.G, self.room, self.E))
        self.next = [0] * self.B

    def length(self, b):
        return min(self.next[b], self.cap)

    def row_step(self, b, q, k, v, step):
        most = self.room if self.BUG else self.cap  # BUG: a window is the most that leaves the one before it alone
        out = [self.piece(b, *(x[:, at : at + most] for x in (q, k, v))) for at in range(0, q.shape[1], most)]
        return np.concatenate(out, 1)

    def piece(self, b, q, k, v):
        pos = np.arange(self.next[b], self.next[b] + q.shape[1])
        self.k[b][:, pos % self.room], self.v[b][:, pos % self.room] = self.turn(k, pos), v
        self.next[b] += q.shape[1]
        held = np.arange(max(0, self.next[b] - self.room), self.next[b])
        at = held % self.room
        return attend(self.turn(q, pos), self.k[b][:, at], self.v[b][:, at], self.sees(pos, held), self.scale)


def targets():
    return both(Bug, __file__)
