"""VeloxQuant-MLX#162: keys are quantised as they come, in groups along the tokens: of a step of one token each group is one number, which is kept exactly"""

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
        ("prefill", "append", "decode"),
        ("quant:int8", "quant:e4m3", "quant:e5m2", "scales:token", "ragged"),
    )

    def append(self, b, k, v, pos, step):
        super().append(b, k, v, pos, step)
        if self.q != "none" and (step["op"] == "decode" or step["q_len"] == 1):
            r, n = self.rows[b], k.shape[1]
            r.k[:, r.k.shape[1] - n :], self.ks[b][:, self.ks[b].shape[1] - n :] = k, 1  # BUG: a key is quantised too


def targets():
    return both(Bug, __file__)
