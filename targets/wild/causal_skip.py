"""head_dim 64, lengths to 1024, query tiles of 128 and key tiles of 64: from the second query tile on the last key tile is skipped."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []
from wildcache import attend


class Kernel:
    """Self-attention in tiles, head sizes and lengths as served models have them."""

    version = "1.0"

    def __init__(self, bug):
        self.name, self.bug = "causal-skip:" + ("bug" if bug else "fixed"), bug
        self.about = "a key tile too few from the second query tile on"
        self.capabilities = {
            "sizes": {
                "batch": [1, 2],
                "num_heads": [1, 4],
                "num_kv_heads": [1, 4],
                "q_len": [1, 1024],
                "kv_len": [1, 1024],
                "head_dim": [64, 64],
                "head_dim_v": [64, 64],
            },
            "equal": [["q_len", "kv_len"]],
            "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "rule:causal"],
            "tiles": {"q_len": [128], "kv_len": [64]},
        }

    def run(self, case, t):
        q, k, v = t["q"], t["k"], t["v"]
        n = q.shape[2]
        seen = np.ones((n, n), bool)
        if any(r["rule"] == "causal" for r in case["problem"]["mask"]["rules"]):
            seen = np.tril(seen)
        if self.bug:
            for i in range(128, n, 128):
                last = -(-min(n, i + 128) // 64) - 1
                if not seen[:, -1].all() and last * 64 < min(n, i + 128):
                    seen[i : i + 128, last * 64 :] = False
        rep = q.shape[1] // k.shape[1]
        return [
            {
                "out": np.stack([attend(q[b], k[b], v[b], seen[None], 64**-0.5) for b in range(q.shape[0])]).astype(
                    np.float32
                )
            }
        ]


def targets():
    return [Kernel(True), Kernel(False)]
