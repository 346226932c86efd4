"""mlxcel#717: the scale of a token in the int8 cache is raised to 1 at least: elements are rounded to whole numbers"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from quant import Quant
from wildcache import claims


class Bug(Quant):
    capabilities = claims(
        ("dynamic",),
        ("prefill", "append", "decode", "reorder", "reset"),
        ("quant:int8", "scales:token", "data:large", "ragged"),
    )

    def scales(self, x, which, step):
        s = super().scales(x, which, step)
        return s if self.q == "none" else np.maximum(s, 1.0)  # BUG: 1 was meant for a scale of 0


def targets():
    return both(Bug, __file__)
