"""vllm#53856: V of the unwritten slots of the last page is multiplied with a weight of 0"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from paged import PAGED, Paged


class Bug(Paged):
    capabilities = PAGED
    fill = np.nan  # what a page holds before it is written

    def attend_row(self, b, q, pos, step):
        t = np.array(self.tables[b], int)
        n, N = int(pos[-1]) + 1, len(t) * self.P
        k = self.pool_k[t].reshape(-1, self.G, self.D)[:N].swapaxes(0, 1)
        v = self.pool_v[t].reshape(-1, self.G, self.E)[:N].swapaxes(0, 1)
        k, v, q = np.repeat(k, self.H // self.G, 0), np.repeat(v, self.H // self.G, 0), self.turn(q, pos)
        s = np.einsum("hqd,hnd->hqn", q.astype(np.float64), k) * self.scale
        s = np.where(np.arange(N)[None, None, :] <= pos[None, :, None], s, -np.inf)
        p = np.exp(s - s.max(-1, keepdims=True))
        return np.einsum("hqn,hne->hqe", p / p.sum(-1, keepdims=True), v)  # BUG: 0 * NaN


def targets():
    return both(Bug, __file__)
