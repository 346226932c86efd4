"""vllm#45361: keys and values of the int8 cache are cut to whole numbers, towards zero, where they are to be rounded to the nearest; fp8 is right"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from quant import Quant, to_type
from wildcache import claims


class Bug(Quant):
    capabilities = claims(
        ("dynamic",), ("prefill", "append", "decode", "reset"), ("quant:int8", "quant:e4m3", "scales:token", "ragged")
    )

    def encode(self, x, s):
        if self.q != "int8":
            return super().encode(x, s)
        y = x.astype(np.float32) / np.where(s == 0, 1, s)[..., None].astype(np.float32)
        return np.trunc(np.clip(y.astype(np.float64), -127, 127))  # BUG: rint


def targets():
    return both(Bug, __file__)
