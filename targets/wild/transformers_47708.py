"""transformers#47708: a full rolling buffer is read from slot past % window, which holds a token that has left the window: the newest cached token is not read"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims


class Bug(Cache):
    capabilities = claims(("ring",), ("prefill", "append", "decode"), ("rope:half", "ragged"))
    BUG = True

    def open(self, case, tensors):
        super().open(case, tensors)
        self.k = np.zeros((self.B, self.G, self.cap, self.D))
        self.v = np.zeros((self.B, self.G, self.cap, self.E))
        self.next = [0] * self.B

    def length(self, b):
        return min(self.next[b], self.cap)

    def row_step(self, b, q, k, v, step):
        W, past, n = self.cap, self.next[b], q.shape[1]
        pos = np.arange(past, past + n)
        k = self.turn(k, pos)
        kept = min(past, W - 1)
        start = past - kept
        if self.BUG:
            start = 0 if past < W else past  # BUG: the oldest of those kept is token past - kept
        at = (start + np.arange(kept)) % W
        keys, values = np.concatenate([self.k[b][:, at], k], 1), np.concatenate([self.v[b][:, at], v], 1)
        out = attend(self.turn(q, pos), keys, values, self.sees(pos, np.arange(past - kept, past + n)), self.scale)
        last = min(n, W)
        start = past if self.BUG else past + n - last  # BUG: of a long prompt the first tokens are left out
        at = (start + np.arange(last)) % W
        self.k[b][:, at], self.v[b][:, at] = k[:, n - last :], v[:, n - last :]
        self.next[b] += n
        return out


def targets():
    return both(Bug, __file__)
