"""mlx-lm#1699: the RoPE offset of the queries is an array that the cache's update changes in place"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode", "reorder"), ("rope:half", "ragged_left"))

    def attend_row(self, b, q, pos, step):
        from wildcache import attend

        r = self.rows[b]
        return attend(
            self.turn(q, pos + q.shape[1]), r.k, r.v, self.sees(pos, r.pos), self.scale
        )  # BUG: offset is read after update_and_fetch


def targets():
    return both(Bug, __file__)
