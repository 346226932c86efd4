"""rajveer43/VeloxQuant-MLX#389: after an eviction the offset by which rope turns new tokens is the number of tokens kept, not the number seen so far"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims


class Bug(Cache):
    capabilities = claims(
        ("dynamic",),
        ("prefill", "append", "decode", "evict", "reset"),
        ("rope:half", "rope:interleaved", "positions:kept"),
        {"steps": [1, 8]},
    )

    def row_step(self, b, q, k, v, step):
        r = self.rows[b]
        true = np.arange(r.next, r.next + q.shape[1])
        at = r.k.shape[1] + np.arange(q.shape[1])  # BUG: true, which counts evicted tokens too
        r.k, r.v = np.concatenate([r.k, self.turn(k, at)], 1), np.concatenate([r.v, v], 1)
        r.pos, r.next = np.concatenate([r.pos, true]), r.next + q.shape[1]
        return attend(self.turn(q, at), r.k, r.v, self.sees(true, r.pos), self.scale)


def targets():
    return both(Bug, __file__)
