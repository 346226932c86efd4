"""Avarok-Cybersecurity/atlas#692: a partly filled last page is handed to a second row, and nothing copies it before a write: both rows write their tokens into it"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from paged import Paged
from wildcache import claims


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode", "reorder", "fork", "reset"), ("ragged",))

    def tokens(self, n, step):
        lens = step.get("lens") or [self.t[f"q.{n}"].shape[2]] * self.B
        for b, l in enumerate(lens):  # all rows are written before any of them is read
            for i in range(l):
                self.write(b, self.rows[b].next + i, self.t[f"k.{n}"][b, :, i], self.t[f"v.{n}"][b, :, i])
        return super().tokens(n, step)

    def write(self, b, at, k, v):
        t, (page, place) = self.tables[b], divmod(at, self.P)
        if page == len(t):
            t.append(self.take())
        self.pool_k[t[page], place], self.pool_v[t[page], place] = k, v  # BUG: the page may be another row's too

    def append(self, b, k, v, pos, step):
        pass  # written already


def targets():
    return both(Bug, __file__)
