"""pypto#470: two pages are read at a time as if the second lay behind the first in the pool"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import claims
from paged import Paged


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode", "reorder", "fork", "reset"), ("ragged",))

    def table_for(self, b, step):
        t = list(self.tables[b])
        for n in range(1, len(t), 2):
            t[n] = min(t[n - 1] + 1, len(self.ref) - 1)  # BUG: neighbours in the table need not be so in the pool
        return t


def targets():
    return both(Bug, __file__)
