"""pie#602: rope that turns a part of the head: the pairs and frequencies are those of the whole head, i with i + head_dim / 2"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(
        ("dynamic",), ("prefill", "append", "decode", "reset"), ("rope:half", "rope_part:first", "ragged")
    )
    BUG = True

    def turn(self, x, pos):
        if self.rope == "none":
            return x
        d = x.shape[-1]
        part = self.p.get("rope_dim") or d
        width = d if self.BUG else part  # BUG: of the part that is turned
        i = np.arange(part // 2)
        angle = pos[:, None].astype(np.float64) * self.p.get("rope_base", 10000.0) ** (-2.0 * i / width)
        c, s = np.cos(angle), np.sin(angle)
        y = x.astype(np.float64)
        a, b = y[..., i].copy(), y[..., i + width // 2].copy()
        y[..., i], y[..., i + width // 2] = a * c - b * s, b * c + a * s
        return y


def targets():
    return both(Bug, __file__)
