"""vllm#51756: a group of layers keeps one window: the layers of it that have none forget what is older as well"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("hybrid",), ("prefill", "append", "decode", "reorder", "reset"), ("rope:half",))

    def sees(self, q_pos, k_pos):
        of_heads = super().sees(q_pos, k_pos)
        near = (q_pos[:, None] - k_pos[None, :]) < self.cap
        return of_heads & near[None]  # BUG: even KV heads, the layers without a window, should see all


def targets():
    return both(Bug, __file__)
