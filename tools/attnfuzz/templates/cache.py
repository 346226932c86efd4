"""{{name}}: an adapter for a KV cache, to be filled with yours. It runs as it is:

    ATTNFUZZ_ADAPTERS=. attnfuzz run -t {{family}}:cache --time 10s
"""
import numpy as np

REQUIRES = ["numpy"]  # distributions that have to be installed


def attention(q, k, v):
    """Causal, the last query at the last key."""
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
    seen = np.arange(k.shape[2]) <= np.arange(k.shape[2] - q.shape[2], k.shape[2])[:, None]
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True) @ v).astype(np.float32)


class Cache:
    name = "{{family}}:cache"  # the part before the colon is the file's name
    version = "1.0"
    about = "a cache that grows"
    # What is claimed here is tested, and nothing else. `attnfuzz targets --json` shows the words.
    capabilities = {
        "sizes": {"batch": [1, 3], "num_heads": [1, 4], "q_len": [1, 8], "kv_len": [1, 32], "head_dim": [1, 16],
                  "steps": [1, 6]},
        "features": ["dtype:f32", "layout:bhsd", "rule:causal", "cache:dynamic", "step:prefill", "step:append",
                     "step:decode", "step:reorder", "step:reset"],
        "requires": [["cache:dynamic", "rule:causal"]],
    }

    def run(self, case, tensors):
        """One dict for each step: its output, and how many tokens each row holds after it."""
        batch, keys, values = case["problem"]["batch"], None, None
        for n, step in enumerate(case["steps"]):
            out = None
            if step["op"] == "reset":
                keys = values = None
            elif step["op"] == "reorder":  # row b continues what row rows[b] was
                keys, values = (a if a is None else a[step["rows"]] for a in (keys, values))
            else:
                q, k, v = (tensors[f"{name}.{n}"] for name in "qkv")
                keys = k if keys is None else np.concatenate([keys, k], 2)
                values = v if values is None else np.concatenate([values, v], 2)
                out = attention(q, keys, values)
            yield {"out": out, "lengths": [0 if keys is None else keys.shape[2]] * batch}


def targets():
    return [Cache()]
