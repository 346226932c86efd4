"""vllm#51091: a layer that shares the cache fills the scales with 1 on its first call, after the first prompt was written"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from quant import Quant
from wildcache import claims


class Bug(Quant):
    capabilities = claims(
        ("dynamic",), ("prefill", "append", "decode"), ("quant:int8", "quant:e4m3", "scales:token", "ragged")
    )

    def open(self, case, tensors):
        super().open(case, tensors)
        self.shared = False

    def tokens(self, n, step):
        out = super().tokens(n, step)
        if not self.shared:
            self.shared = True
            for b in range(self.B):
                self.ks[b][:], self.vs[b][:] = 1, 1  # BUG: the prompt's scales are there already
        return out


def targets():
    return both(Bug, __file__)
