"""{{name}}: an adapter, to be filled with a package's attention. It runs as it is:

    ATTNFUZZ_ADAPTERS=. attnfuzz run -t {{family}}:attention --time 10s
"""
import numpy as np

REQUIRES = ["numpy"]  # distributions that have to be installed


class Attention:
    name = "{{family}}:attention"  # the part before the colon is the file's name
    version = np.__version__       # of the package under test
    about = "attention on NumPy arrays"
    # What is claimed here is tested, and nothing else. `attnfuzz targets --json` shows the words.
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "q_len": [1, 64], "kv_len": [1, 64], "head_dim": [1, 64]},
        "features": ["dtype:f32", "layout:bhsd", "cross", "longer_q", "rule:causal", "align:top_left",
                     "align:bottom_right"],
    }

    def run(self, case, tensors):
        """One dict for each step; without a cache there is one. Call the package here."""
        q, k, v = (tensors[name].astype(np.float64) for name in "qkv")
        scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
        if "mask" in tensors:  # [batch, num_heads, q_len, kv_len], 1 = seen
            scores = np.where(tensors["mask"] != 0, scores, -np.inf)
        top = scores.max(-1, keepdims=True)
        weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
        total = weights.sum(-1, keepdims=True)  # 0 for a query that sees no key: its output is 0
        out = weights / np.where(total > 0, total, 1) @ v
        return [{"out": out.astype(np.float32)}]


def targets():
    return [Attention()]
