"""mistral.rs#2333: a first prefill of the window or more copies into the small initial buffer"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import claims
from rotating import Rotating

GROW = 8


class Bug(Rotating):
    capabilities = claims(("ring",), ("prefill", "append", "decode", "reset"), ("rope:half",))

    def open(self, case, tensors):
        super().open(case, tensors)
        self.room = min(GROW, self.max_size)

    def concat(self, k, v):
        S = k.shape[2]
        if S >= self.max_size:  # BUG: the overwrite branch does not grow the buffer
            if self.room < self.max_size:
                raise RuntimeError(f"shape mismatch on target dim, dst: {self.room}, src: {self.max_size} + 0")
        else:
            self.room = max(self.room, min(self.max_size, -(-(self.keys.shape[2] + S) // GROW) * GROW))
        super().concat(k, v)


def targets():
    return both(Bug, __file__)
