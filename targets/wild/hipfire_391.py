"""hipfire#391: after an eviction the batched path turns queries and keys by the slot, the path of one token by the position"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(
        ("dynamic",),
        ("prefill", "append", "decode", "evict", "reset"),
        ("rope:half", "rope:interleaved", "positions:kept"),
    )

    def row_step(self, b, q, k, v, step):
        r = self.rows[b]
        self.compact = r.next - r.k.shape[1] if step["op"] == "append" else 0
        return super().row_step(b, q, k, v, step)

    def turn(self, x, pos):
        return super().turn(x, pos - self.compact)  # BUG: compact_offset is left out


def targets():
    return both(Bug, __file__)
