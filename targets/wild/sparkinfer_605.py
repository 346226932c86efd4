"""gittensor-ai-lab/sparkinfer#605: the sink tokens are let in without the causal bound: a query among the first tokens sees sink tokens that come after it"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("sink_window",), ("prefill", "append", "decode", "reset"), ("ragged",))

    def sees(self, q_pos, k_pos):
        keep = self.c["keep"]
        near = (k_pos[None, :] <= q_pos[:, None]) & ((q_pos[:, None] - k_pos[None, :]) < self.cap - keep)
        return (near | (k_pos[None, :] < keep))[None]  # BUG: and k_pos <= q_pos


def targets():
    return both(Bug, __file__)
