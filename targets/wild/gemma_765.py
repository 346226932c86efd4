"""google-deepmind/gemma#765: the new keys and values of all rows are written at end_index[0]"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims


class Bug(Cache):
    capabilities = claims(("fixed",), ("prefill", "append", "decode"), ("ragged", "rope:half"))
    BUG = True

    def open(self, case, tensors):
        super().open(case, tensors)
        self.k = np.zeros((self.B, self.G, self.cap, self.D))
        self.v = np.zeros((self.B, self.G, self.cap, self.E))
        self.next = [0] * self.B

    def length(self, b):
        return self.next[b]

    def tokens(self, n, step):
        self.start = self.next[0]
        return super().tokens(n, step)

    def row_step(self, b, q, k, v, step):
        n, old = q.shape[1], self.next[b]
        pos = np.arange(old, old + n)
        at = min(self.start, self.cap - n) if self.BUG else old  # BUG: each row has its own end
        self.k[b, :, at : at + n], self.v[b, :, at : at + n] = self.turn(k, pos), v
        self.next[b] += n
        end = self.next[b]
        seen = self.sees(pos, np.arange(end))
        return attend(self.turn(q, pos), self.k[b, :, :end], self.v[b, :, :end], seen, self.scale)


def targets():
    return both(Bug, __file__)
