"""vllm#42956: the scale of an fp8 key is taken from its first part alone: what is larger in the other part is cut off at the largest fp8 number"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from quant import Quant
from wildcache import claims


class Bug(Quant):
    capabilities = claims(
        ("dynamic",), ("prefill", "append", "decode", "reset"), ("quant:e4m3", "quant:e5m2", "scales:token", "ragged")
    )

    def scales(self, x, which, step):
        if which == "k" and self.q != "none":
            x = x[..., : x.shape[-1] // 2]  # BUG: the whole key
        return super().scales(x, which, step)


def targets():
    return both(Bug, __file__)
