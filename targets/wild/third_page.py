"""head_dim 128, pages of 16, rows to 512 tokens: the third page is read as the second."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []
from wildcache import claims
from paged import Paged


class Decode(Paged):
    version = "1.0"

    def __init__(self, bug):
        self.name, self.bug = "third-page:" + ("bug" if bug else "fixed"), bug
        self.about = "the third page is read as the second"
        self.capabilities = claims(
            ("paged",),
            ("prefill", "append", "decode"),
            (),
            {
                "head_dim": [128, 128],
                "head_dim_v": [128, 128],
                "num_heads": [1, 8],
                "num_kv_heads": [1, 8],
                "kv_len": [1, 512],
                "q_len": [1, 96],
                "capacity": [16, 512, 16],
                "page_size": [16, 16],
                "steps": [1, 16],
            },
            equal=[["head_dim", "head_dim_v"]],
            tiles={"kv_len": [16]},
        )

    def table_for(self, b, step):
        t = list(self.tables[b])
        if self.bug:
            if len(t) > 2:
                t[2] = t[1]
        return t


def targets():
    return [Decode(True), Decode(False)]
