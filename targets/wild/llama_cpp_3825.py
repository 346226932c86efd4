"""llama.cpp#3825: keys are turned to their new positions before the next tokens, by the last shift alone: of two shifts in a row the first is lost"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims, rope_turn


class Bug(Cache):
    capabilities = claims(
        ("dynamic",),
        ("prefill", "append", "decode", "evict"),
        ("rope:half", "rope:interleaved", "positions:shifted"),
        {"steps": [1, 10]},
    )
    BUG = True

    def open(self, case, tensors):
        super().open(case, tensors)
        self.due = [np.zeros(0) for _ in range(self.B)]  # by how much each key is still to be turned

    def evict(self, start, count):
        for b, r in enumerate(self.rows):
            n = r.k.shape[1]
            gone = max(0, min(n, start + count) - start)
            if not gone:
                continue
            left = np.r_[0:start, start + gone : n].astype(int)
            later = np.arange(len(left)) >= start
            r.keep(left)
            r.pos = r.pos - gone * later
            r.next -= gone
            due = self.due[b][left]
            self.due[b] = np.where(later, -gone if self.BUG else due - gone, due)  # BUG: the shift before it counts too

    def append(self, b, k, v, pos, step):
        r = self.rows[b]
        if self.rope != "none" and self.due[b].any():
            r.k = rope_turn(r.k, self.due[b], self.p.get("rope_base", 10000.0), self.rope)
        super().append(b, k, v, pos, step)
        self.due[b] = np.zeros(r.k.shape[1])


def targets():
    return both(Bug, __file__)
