"""mlx-swift-lm#424: once a sliding-window layer's ring is full, the cache counts as untrimmable: a crop does nothing, in the full layers either"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("hybrid",), ("prefill", "append", "decode", "crop"), ("rope:half",))

    def crop(self, length):
        if all(r.next < self.cap for r in self.rows):  # BUG: the layers' tokens are to go all the same
            super().crop(length)


def targets():
    return both(Bug, __file__)
