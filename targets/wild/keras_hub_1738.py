"""keras-hub#1738: the sliding window is the shorter of itself and the call's query length: with a cache little is seen"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode"), ("rule:window",))
    capabilities["requires"] = [["dtype:f32", "rule:causal"], ["rule:window", "rule:causal"]]
    BUG = True

    def sees(self, q_pos, k_pos):
        seen = super().sees(q_pos, k_pos)
        window = next((r for r in self.p["mask"]["rules"] if r["rule"] == "window"), None)
        if window is None:
            return seen
        size = window["left"] + 1
        if self.BUG:
            size = min(len(q_pos), size)
        return seen & (q_pos[:, None] - k_pos[None, :] < size)[None]


def targets():
    return both(Bug, __file__)
