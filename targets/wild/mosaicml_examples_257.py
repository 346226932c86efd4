"""mosaicml/examples#257: the padding taken off the positions is counted in the new step's part of the mask alone: after a left-padded prompt new tokens stand too far on"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode", "reset"), ("rope:half", "ragged_left"))

    def open(self, case, tensors):
        super().open(case, tensors)
        self.slots = 0  # columns of the mask so far, padding among them

    def tokens(self, n, step):
        out = super().tokens(n, step)
        self.slots += self.t[f"q.{n}"].shape[2]
        return out

    def row_step(self, b, q, k, v, step):
        r = self.rows[b]
        real = np.arange(r.next, r.next + q.shape[1])
        at = self.slots + np.arange(q.shape[1])  # BUG: less the padding of the steps before
        r.k, r.v = np.concatenate([r.k, self.turn(k, at)], 1), np.concatenate([r.v, v], 1)
        r.pos, r.next = np.concatenate([r.pos, real]), r.next + q.shape[1]
        return attend(self.turn(q, at), r.k, r.v, self.sees(real, r.pos), self.scale)

    def reset(self):
        super().reset()
        self.slots = 0


def targets():
    return both(Bug, __file__)
