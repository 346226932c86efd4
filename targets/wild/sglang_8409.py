"""sglang#8409: EAGLE's draft steps read the slots' own KV, not that of the parents which were selected"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode", "reorder"), ("rope:half",))

    def reorder(self, rows):
        pass  # BUG: the selected parents' KV is not copied to the branches' slots


def targets():
    return both(Bug, __file__)
