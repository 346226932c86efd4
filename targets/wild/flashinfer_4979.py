"""flashinfer#4979: the wrapper that prefills leaves out k_scale and v_scale with an fp8 KV cache: it weighs the bare 8-bit numbers"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from quant import Quant
from wildcache import claims


class Bug(Quant):
    capabilities = claims(
        ("dynamic",), ("prefill", "append", "decode"), ("quant:e4m3", "quant:e5m2", "scales:head", "ragged")
    )

    def read(self, b, step):
        if step["op"] == "decode":
            return super().read(b, step)
        return self.rows[b].k, self.rows[b].v  # BUG: times their scales


def targets():
    return both(Bug, __file__)
