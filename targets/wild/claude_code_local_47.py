"""claude-code-local#47: the cache is trimmed to a prefix by step - length tokens, the step being what a buffer grows by"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


STEP = 8


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode", "crop", "reset"), ("rope:half",))

    def crop(self, length):
        held = self.rows[0].k.shape[1]
        super().crop(max(0, held - max(0, STEP - length)))  # BUG: held - length, not STEP - length


def targets():
    return both(Bug, __file__)
