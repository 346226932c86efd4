"""flashinfer#3022 (TensorRT-LLM#18244): pages of V are loaded once for 64 tokens, and used for both tiles of 32 (head_dim 256)"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import claims
from paged import Paged


class Bug(Paged):
    capabilities = claims(
        ("paged",),
        ("prefill", "append", "decode"),
        (),
        {
            "head_dim": [64, 256, 64],
            "head_dim_v": [64, 256, 64],
            "kv_len": [1, 160],
            "q_len": [1, 96],
            "page_size": [16, 64, 16],
            "capacity": [16, 160],
            "num_heads": [1, 4],
        },
        equal=[["head_dim", "head_dim_v"]],
        tiles={"kv_len": [32, 64]},
    )

    def gather(self, b, step, n):
        k, v = super().gather(b, step, n)
        if step["op"] == "decode" and self.D == 256 and self.P < 64:
            v = v.copy()
            t = self.tables[b]
            for i in range(n):
                if i % 64 >= 32:  # BUG: nbVItersPerXIter == 2, the pages are those of the first V tile
                    page = t[(i - 32) // self.P]
                    v[:, i] = self.pool_v[page, i % self.P]
        return k, v


def targets():
    return both(Bug, __file__)
