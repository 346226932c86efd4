"""Keras's keras.ops.dot_product_attention, one target for each backend that runs on a CPU without more packages.

What is claimed is what its docstring says (3.15.1): [batch, len, heads, dim]; value has key's shape; mask True takes part;
bias is added to the logits; is_causal (used where q_len = kv_len: its alignment elsewhere is not written down). What a row
without keys holds is not said. The PyTorch backend takes bias or mask, not both ("Only one of `bias` and `mask` can be provided"):
a mask goes into the bias there. attn_logits_soft_cap is for TPUs only. A process has one backend: load() chooses it.
"""
from __future__ import annotations

import importlib.metadata
import os

from attnfuzz_worker import additive, only_rules, rule, to_layout, visible

REQUIRES = ["keras", "numpy"]
RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi"]


class DotProductAttention:
    version = importlib.metadata.version("keras")
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70],
                  "head_dim": [1, 64], "head_dim_v": [1, 64]},
        "equal": [["head_dim", "head_dim_v"]],
        "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale", "fully_masked:any",
                     "align:top_left", "align:bottom_right", "chunk.origin:slot", "chunk.origin:token", "padding.side:left",
                     "padding.side:right", "data:large", "data:constant", "data:one_hot", *(f"rule:{name}" for name in RULES),
                     *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk", "hqk", "bhqk"))],
        "precision": {"f32": {"exp_ulps": 20}},
    }

    def __init__(self, backend: str):
        self.backend = backend
        self.name, self.about = f"keras:{backend}", f"keras.ops.dot_product_attention, {backend} backend"

    def load(self) -> None:
        os.environ["KERAS_BACKEND"] = self.backend
        import keras  # noqa: F401

    def run(self, case: dict, tensors: dict) -> list[dict]:
        import keras

        p, causal = case["problem"], only_rules(case, "causal", "bias", "alibi") and rule(case, "causal") is not None
        causal = causal and p["q_len"] == p["kv_len"]
        needed = not causal and not only_rules(case, "bias", "alibi")
        mask, bias = visible(tensors) if needed else None, tensors.get("bias")
        if bias is not None and needed and self.backend == "torch":
            mask, bias = None, additive(case, tensors)
        arrays = {name: to_layout(case, tensors[name], "bshd") for name in "qkv"} | {"bias": bias, "mask": mask}
        q, k, v, bias, mask = (a if a is None else keras.ops.convert_to_tensor(a) for a in arrays.values())
        out = keras.ops.dot_product_attention(q, k, v, bias=bias, mask=mask, scale=p["scale"], is_causal=causal)
        return [{"out": to_layout(case, keras.ops.convert_to_numpy(out), "bshd")}]


def targets() -> list:
    return [DotProductAttention("torch"), DotProductAttention("numpy"), DotProductAttention("jax")]
