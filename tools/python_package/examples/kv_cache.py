"""A KV cache: an object with `capabilities` and run(case, tensors), and the bug of a beam reorder that forgets v."""

import numpy as np

import attnfuzz


def attention(q, k, v):
    scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
    seen = np.arange(k.shape[2]) <= np.arange(k.shape[2] - q.shape[2], k.shape[2])[:, None]
    weights = np.exp(np.where(seen, scores, -np.inf) - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


class Cache:
    name, version = "mine:cache", "1.0"
    capabilities = {
        "sizes": {"batch": [1, 3], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 8], "kv_len": [1, 32],
                  "head_dim": [1, 16], "head_dim_v": [1, 16], "steps": [1, 6]},
        "features": ["dtype:f32", "layout:bhsd", "rule:causal", "cache:dynamic", "step:prefill", "step:append",
                     "step:decode", "step:reorder"],
        "requires": [["cache:dynamic", "rule:causal"]],
    }

    def run(self, case, tensors):
        k = v = None
        for n, step in enumerate(case["steps"]):
            if step["op"] == "reorder":
                k = k if k is None else k[step["rows"]]  # and v stays
                yield {"lengths": [0 if k is None else k.shape[2]] * case["problem"]["batch"]}
                continue
            q, new_k, new_v = (tensors[f"{name}.{n}"] for name in "qkv")
            k = new_k if k is None else np.concatenate([k, new_k], 2)
            v = new_v if v is None else np.concatenate([v, new_v], 2)
            yield {"out": attention(q, k, v), "lengths": [k.shape[2]] * q.shape[0]}


print(attnfuzz.check(Cache()))
