"""sgl-project/sglang-jax#1297: the slots of all rows stand one after another, whole pages each; the mask counts the tokens of the rows before alone"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from paged import Paged
from wildcache import attend, claims


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode"), ("ragged",))
    BUG = True

    def tokens(self, n, step):
        lens = step.get("lens") or [self.t[f"q.{n}"].shape[2]] * self.B
        for b, l in enumerate(lens):  # all rows are written before any of them is read
            pos = np.arange(self.rows[b].next, self.rows[b].next + l)
            self.append(b, self.t[f"k.{n}"][b, :, :l], self.t[f"v.{n}"][b, :, :l], pos, step)
        held = [r.next + l for r, l in zip(self.rows, lens)]
        room = held if self.BUG else [len(t) * self.P for t in self.tables]  # BUG: a row takes whole pages
        self.first = np.concatenate([[0], np.cumsum(room)]).astype(int)
        slots = np.array([p for t in self.tables for p in t], int)
        self.all_k = self.pool_k[slots].reshape(-1, self.G, self.D)
        self.all_v = self.pool_v[slots].reshape(-1, self.G, self.E)
        return super().tokens(n, step)

    def row_step(self, b, q, k, v, step):
        pos = np.arange(self.rows[b].next, self.rows[b].next + q.shape[1])
        self.rows[b].next += q.shape[1]
        at = self.first[b] + np.arange(self.rows[b].next)
        keys, values = self.all_k[at].swapaxes(0, 1), self.all_v[at].swapaxes(0, 1)
        return attend(q, keys, values, self.sees(pos, np.arange(len(at))), self.scale)


def targets():
    return both(Bug, __file__)
