"""executorch#21857: in a chunk of a prefill every query sees the cached keys that the chunk's first query sees: keys that have left its window"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("ring",), ("prefill", "append", "decode", "reset"), ("rope:half", "ragged"))

    def sees(self, q_pos, k_pos):
        seen = super().sees(q_pos, k_pos).copy()
        cached = k_pos < q_pos[0]
        seen[..., cached] = seen[:, :1, cached]  # BUG: each query's own window
        return seen


def targets():
    return both(Bug, __file__)
