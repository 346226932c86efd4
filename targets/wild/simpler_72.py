"""hw-native-sys/simpler#72: decoding, the slots of the last page that hold no token yet are scored and weighed like keys"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import attend
from paged import PAGED, Paged


class Bug(Paged):
    capabilities = PAGED

    def attend_row(self, b, q, pos, step):
        if step["op"] != "decode":
            return super().attend_row(b, q, pos, step)
        k, v = self.gather(b, step, len(self.tables[b]) * self.P)
        seen = np.ones((1, 1, k.shape[1]), bool)  # BUG: all of the page
        return attend(self.turn(q, pos), k, v, seen, self.scale)


def targets():
    return both(Bug, __file__)
