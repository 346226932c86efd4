"""turboderp/exllama#101: the rope kernel counts positions over all rows of q and k as if there were one batch row"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode"), ("rope:half", "rope:interleaved"))

    def row_step(self, b, q, k, v, step):
        self.b = b
        return super().row_step(b, q, k, v, step)

    def turn(self, x, pos):
        return super().turn(x, pos + self.b * len(pos))  # BUG: the next batch row goes on where the last one ended


def targets():
    return both(Bug, __file__)
