"""JAX's jax.nn.dot_product_attention: its XLA implementation on the CPU, and cuDNN's on a GPU (f16 and bf16, head sizes by 8).

What is claimed is what its docstring says (0.10.2): [batch, len, heads, dim]; as many value sizes as key sizes; mask True takes
part; bias is added to the scaled scores; is_causal, local_window_size (left, right; used where q_len = kv_len, its alignment
elsewhere is not written down) and key_value_seq_lengths (right padding). What a row without keys holds is not said. Half types
are multiplied and normalised in f32, with the weights rounded to the inputs' type.
"""
from __future__ import annotations

import importlib.metadata

import numpy as np
from attnfuzz_worker import only_rules, rule, to_layout, visible

REQUIRES = ["jax", "jaxlib", "numpy"]
RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi"]
HALF = ("f16", "bf16")


class DotProductAttention:
    name, about = "jax:dot-product-attention", "jax.nn.dot_product_attention, XLA on the CPU"
    version = importlib.metadata.version("jax")
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70],
                  "head_dim": [1, 64], "head_dim_v": [1, 64]},
        "equal": [["head_dim", "head_dim_v"]],
        "features": ["dtype:f32", "dtype:f16", "dtype:bf16", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q",
                     "scale", "fully_masked:any", "align:top_left", "align:bottom_right", "chunk.origin:slot", "chunk.origin:token",
                     "padding.side:left", "padding.side:right", "data:large", "data:constant", "data:one_hot",
                     *(f"rule:{name}" for name in RULES),
                     *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk", "hqk", "bhqk"))],
        "precision": {"f32": {"exp_ulps": 20}} | {name: {"accumulate": "f32", "p": name, "exp_ulps": 20} for name in HALF},
        "compiled_for": ["batch", "num_heads", "num_kv_heads", "q_len", "kv_len", "head_dim", "head_dim_v"],
    }

    def __init__(self, device: str = "cpu", implementation: str = "xla"):
        self.device, self.implementation = device, implementation
        if implementation == "cudnn":
            self.name, self.about = f"{self.name}-cudnn-cuda", "jax.nn.dot_product_attention, cuDNN"
            narrow = {"sizes": self.capabilities["sizes"] | {"head_dim": [8, 128, 8], "head_dim_v": [8, 128, 8]},
                      "features": [f for f in self.capabilities["features"] if f != "dtype:f32"],
                      "precision": {name: {"accumulate": "f32", "p": name, "exp_ulps": 20, "truncates": True} for name in HALF}}
            self.capabilities = self.capabilities | narrow

    def load(self) -> None:
        import jax

        self.place = jax.devices("gpu" if self.device == "cuda" else "cpu")[0]

    def run(self, case: dict, tensors: dict) -> list[dict]:
        import jax
        import ml_dtypes

        p = case["problem"]

        def given(array):
            return jax.device_put(array.view(ml_dtypes.bfloat16) if p["dtype"] == "bf16" else array, self.place)

        options = {"scale": p["scale"]}
        square, window, padding = p["q_len"] == p["kv_len"], rule(case, "window"), rule(case, "padding")
        if only_rules(case, "causal", "window", "bias") and square:
            options["is_causal"] = rule(case, "causal") is not None
            if window:
                options["local_window_size"] = (window["left"], window["right"])
        elif only_rules(case, "padding", "bias") and padding and padding["side"] == "right":
            options["key_value_seq_lengths"] = np.array(padding["lens"], np.int32)
        elif (seen := visible(tensors)) is not None:
            options["mask"] = seen
        if "bias" in tensors:
            options["bias"] = given(tensors["bias"])
        q, k, v = (given(to_layout(case, tensors[name], "bshd")) for name in "qkv")
        out = np.asarray(jax.nn.dot_product_attention(q, k, v, implementation=self.implementation, **options))
        return [{"out": to_layout(case, out.view(np.uint16) if p["dtype"] == "bf16" else out, "bshd")}]


def targets() -> list:
    return [DotProductAttention(), DotProductAttention("cuda", "cudnn")]
