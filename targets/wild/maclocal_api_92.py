"""maclocal-api#92: rows prefilled alone are merged; from then on the longest row's offset turns the tokens of all of them"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("ring",), ("prefill", "append", "decode"), ("rope:half", "ragged_left"))

    def tokens(self, n, step):
        self.ahead = max(r.next for r in self.rows) if step["op"] != "prefill" else None
        return super().tokens(n, step)

    def row_step(self, b, q, k, v, step):
        self.shift = 0 if self.ahead is None else self.ahead - self.rows[b].next
        return super().row_step(b, q, k, v, step)

    def turn(self, x, pos):
        return super().turn(x, pos + self.shift)  # BUG: one cursor for all rows


def targets():
    return both(Bug, __file__)
