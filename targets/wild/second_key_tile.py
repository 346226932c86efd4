"""head_dim 128, lengths to 512, tiles of 64: the second key tile is left out."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []
from wildcache import attend


class Kernel:
    """Self-attention in tiles, head sizes and lengths as served models have them."""

    version = "1.0"

    def __init__(self, bug):
        self.name, self.bug = "second-key-tile:" + ("bug" if bug else "fixed"), bug
        self.about = "the second key tile is left out"
        self.capabilities = {
            "sizes": {
                "batch": [1, 2],
                "num_heads": [1, 4],
                "num_kv_heads": [1, 4],
                "q_len": [1, 512],
                "kv_len": [1, 512],
                "head_dim": [128, 128],
                "head_dim_v": [128, 128],
            },
            "equal": [["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "rule:causal"],
            "tiles": {"q_len": [64], "kv_len": [64]},
        }

    def run(self, case, t):
        q, k, v = t["q"], t["k"], t["v"]
        n = q.shape[2]
        seen = np.ones((n, n), bool)
        if any(r["rule"] == "causal" for r in case["problem"]["mask"]["rules"]):
            seen = np.tril(seen)
        if self.bug:
            seen[:, 64:128] = False
        rep = q.shape[1] // k.shape[1]
        return [
            {
                "out": np.stack([attend(q[b], k[b], v[b], seen[None], 128**-0.5) for b in range(q.shape[0])]).astype(
                    np.float32
                )
            }
        ]


def targets():
    return [Kernel(True), Kernel(False)]
