"""mlxcel#999: a call of several tokens without a mask runs unmasked: causality is applied to single tokens only"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode", "reset"), ("rope:half", "ragged"))

    def sees(self, q_pos, k_pos):
        return np.ones((1, len(q_pos), len(k_pos)), bool)  # BUG: the model builds no mask where it is given none


def targets():
    return both(Bug, __file__)
