"""sglang#31501: the element mask of the window is compiled out, whole key tiles before it are skipped alone"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import claims
from paged import Paged

T = 4


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode"), ("rule:window",), tiles={"kv_len": [T]})
    BUG = True

    def sees(self, q_pos, k_pos):
        a = k_pos[None, :] <= q_pos[:, None]
        w = next((r for r in self.p["mask"]["rules"] if r["rule"] == "window"), None)
        if w is None:
            return a[None]
        if not any(r["rule"] == "causal" for r in self.p["mask"]["rules"]):
            a = np.ones_like(a)
        left = w["left"] if w["left"] is not None and w["left"] >= 0 else 10**9
        right = w["right"] if w["right"] is not None and w["right"] >= 0 else 10**9
        a = a & (k_pos[None, :] - q_pos[:, None] <= right)
        if not self.BUG:
            return (a & (q_pos[:, None] - k_pos[None, :] <= left))[None]
        first = max(0, int(q_pos[0]) - left) // T * T  # BUG: use_sliding_window is false in the plan
        return (a & (k_pos[None, :] >= first))[None]


def targets():
    return both(Bug, __file__)
