"""MinivLLM#76: decoding, the last page's token count is taken mod page_size, 0 when the token fills the page: it is written to the slot before the page"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from paged import Paged
from wildcache import claims


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode"), ("ragged", "rope:half"))

    def append(self, b, k, v, pos, step):
        if step["op"] != "decode":
            return super().append(b, k, v, pos, step)
        t = self.tables[b]
        for i, at in enumerate(int(x) for x in pos):
            if at // self.P == len(t):
                t.append(self.take())
            slot = t[-1] * self.P + (at + 1) % self.P - 1  # BUG: page_size, not 0, of a full page
            if slot >= 0:  # of the pool
                self.pool_k[slot // self.P, slot % self.P] = self.turn(k[:, i : i + 1], pos[i : i + 1])[:, 0]
                self.pool_v[slot // self.P, slot % self.P] = v[:, i]


def targets():
    return both(Bug, __file__)
