"""OpenNMT-py#2532: the mask of the padding at the left is applied in the first step only: later steps see the padding that the cache holds"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode"), ("ragged_left",))
    BUG = True

    def open(self, case, tensors):
        super().open(case, tensors)
        self.pad_k = [np.zeros((self.G, 0, self.D)) for _ in range(self.B)]
        self.pad_v = [np.zeros((self.G, 0, self.E)) for _ in range(self.B)]

    def tokens(self, n, step):
        self.later = n > 0
        k, v = self.t[f"k.{n}"], self.t[f"v.{n}"]
        for b in range(self.B):
            pads = k.shape[2] - (step["lens"][b] if step.get("lens") else k.shape[2])
            self.pad_k[b] = np.concatenate([self.pad_k[b], k[b, :, :pads]], 1)
            self.pad_v[b] = np.concatenate([self.pad_v[b], v[b, :, :pads]], 1)
        return super().tokens(n, step)

    def attend_row(self, b, q, pos, step):
        if not (self.BUG and self.later):
            return super().attend_row(b, q, pos, step)
        r, pads = self.rows[b], self.pad_k[b].shape[1]
        seen = self.sees(pos, r.pos)
        seen = np.concatenate([np.ones((*seen.shape[:2], pads), bool), seen], 2)  # BUG: padding is still padding
        k, v = np.concatenate([self.pad_k[b], r.k], 1), np.concatenate([self.pad_v[b], r.v], 1)
        return attend(q, k, v, seen, self.scale)


def targets():
    return both(Bug, __file__)
