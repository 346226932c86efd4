"""pegainfer#291: a decoded token that fills its page gets the row the next page at once, and the number of tokens is taken from the number of pages: an empty page is read too"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from paged import Paged
from wildcache import attend, claims


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode", "reset"), ("ragged", "rope:half"))

    def attend_row(self, b, q, pos, step):
        n = int(pos[-1]) + 1
        if step["op"] != "decode" or n % self.P:
            return super().attend_row(b, q, pos, step)
        self.tables[b].append(self.take())  # for the token after this
        n = (len(self.tables[b]) - 1) * self.P + self.P  # BUG: the last page in use is one page before
        k, v = self.gather(b, step, n)
        return attend(self.turn(q, pos), k, v, np.ones((1, 1, n), bool), self.scale)


def targets():
    return both(Bug, __file__)
