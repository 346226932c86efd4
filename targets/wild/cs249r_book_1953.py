"""harvard-edge/cs249r_book#1953: a decode step writes its token to the cache and attends over the tokens of the steps before: not over its own"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode", "reset"), ("rope:half", "ragged"))

    def attend_row(self, b, q, pos, step):
        if step["op"] != "decode":
            return super().attend_row(b, q, pos, step)
        r, n = self.rows[b], q.shape[1]
        k, v = r.k[:, : r.k.shape[1] - n], r.v[:, : r.v.shape[1] - n]  # BUG: what was there before, without this step's
        return attend(self.turn(q, pos), k, v, np.ones((1, n, k.shape[1]), bool), self.scale)


def targets():
    return both(Bug, __file__)
