"""FlashInfer's single_prefill_with_kv_cache, which needs a GPU: one call for each sequence of the batch.

What is claimed is its docstring: [len, heads, dim]; f16 and bf16; causal aligned to the lower right, window_left tokens before the
query's own; any boolean mask as custom_mask (alone); logits_soft_cap before the mask; grouped heads. Each type, head size and kind of mask is
compiled when it first comes, which takes nvcc half a minute and some GiB: run it with --timeout 300s --memory 24G.
"""
from __future__ import annotations

import importlib.metadata

import numpy as np
from attnfuzz_worker import from_torch, only_rules, rule, to_layout, to_torch, visible

REQUIRES = ["flashinfer-python", "torch", "numpy"]
HALF = ("f16", "bf16")


class Prefill:
    """`call`: another function with single_prefill_with_kv_cache's arguments, by which tests run this class on a CPU."""

    name, about = "flashinfer:single-prefill-cuda", "single_prefill_with_kv_cache on CUDA"
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 200], "kv_len": [1, 300],
                  "head_dim": [64, 128, 64], "head_dim_v": [64, 128, 64]},
        "equal": [["head_dim", "head_dim_v"]], "params": {"window.right": [0, 0]},
        "features": [*(f"dtype:{name}" for name in HALF), "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale",
                     "softcap", "fully_masked:any", "align:bottom_right", "rule:causal", "rule:window", "rule:chunk", "rule:prefix",
                     "rule:documents", "rule:padding", "rule:boolean", "boolean.shape:qk", "boolean.shape:bqk", "chunk.origin:slot",
                     "chunk.origin:token", "padding.side:left", "padding.side:right", "data:large", "data:constant", "data:one_hot"],
        "requires": [["rule:window", "rule:causal"]],
        "precision": {name: {"accumulate": "f32", "p": name, "exp_ulps": 20, "truncates": True} for name in HALF},
        "tiles": {"q_len": [64, 128], "kv_len": [64, 128]},
    }

    def __init__(self, device: str = "cuda", call=None):
        self.device, self.call = device, call

    @property
    def version(self) -> str:
        return importlib.metadata.version("flashinfer-python")

    def load(self) -> None:
        import flashinfer
        import torch

        self.call = self.call or flashinfer.single_prefill_with_kv_cache
        one = torch.zeros(1, 1, 64, dtype=torch.float16, device=self.device)
        self.call(one, one, one)  # starts nvcc: where that fails, no case is to blame

    def options(self, case: dict, tensors: dict, row: int) -> dict:
        """The mask in the function's words where it has some, else as custom_mask."""
        window, seen = rule(case, "window"), visible(tensors)
        if seen is None:
            return {}
        if only_rules(case, "causal", "window") and rule(case, "causal"):
            return {"causal": True, "window_left": window["left"] if window else -1}
        return {"custom_mask": to_torch(np.ascontiguousarray(seen[row, 0]), "bool", self.device)}

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p, rows = case["problem"], []
        for row in range(p["batch"]):
            arrays = (np.ascontiguousarray(to_layout(case, tensors[name], "bshd")[row]) for name in "qkv")
            given = (to_torch(array, p["dtype"], self.device) for array in arrays)
            out = self.call(*given, sm_scale=p["scale"], logits_soft_cap=float(p["softcap"]) or None,
                            **self.options(case, tensors, row))
            rows.append(from_torch(out, p["dtype"]))
        return [{"out": to_layout(case, np.stack(rows), "bshd")}]


def targets() -> list:
    return [Prefill()]
