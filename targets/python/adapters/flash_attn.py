"""flash-attn's flash_attn_func (FlashAttention-2), which needs a GPU.

What is claimed is its docstring: [batch, len, heads, dim]; f16 and bf16; causal and window aligned to the lower right, a row that sees no
key gives zeros; window_size = (left, right) tokens beside the query's own; softcap before the mask; ALiBi by slopes; grouped heads.
"""
from __future__ import annotations

import importlib.metadata

import numpy as np
from attnfuzz_worker import from_torch, rule, to_layout, to_torch

REQUIRES = ["flash-attn", "torch", "numpy"]
HALF = ("f16", "bf16")


class FlashAttention:
    """`call`: another function with flash_attn_func's arguments, by which tests run this class on a CPU."""

    name, about = "flash-attn:func-cuda", "flash_attn_func on CUDA"
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 300], "kv_len": [1, 300],
                  "head_dim": [8, 128, 8], "head_dim_v": [8, 128, 8]},
        "equal": [["head_dim", "head_dim_v"]],
        "features": [*(f"dtype:{name}" for name in HALF), "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "scale",
                     "softcap", "fully_masked:zero", "align:bottom_right", "rule:causal", "rule:window", "data:large",
                     "data:constant", "data:one_hot", "data:tiny"],
        "precision": {name: {"accumulate": "f32", "p": name, "exp_ulps": 20, "truncates": True} for name in HALF},
        "tiles": {"q_len": [64, 128], "kv_len": [64, 128]},
    }

    def __init__(self, device: str = "cuda", call=None):
        self.device, self.call = device, call

    @property
    def version(self) -> str:
        return importlib.metadata.version("flash-attn")

    def load(self) -> None:
        from flash_attn import flash_attn_func

        self.call = self.call or flash_attn_func

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p, window = case["problem"], rule(case, "window")
        arrays = (np.ascontiguousarray(to_layout(case, tensors[name], "bshd")) for name in "qkv")
        given = (to_torch(array, p["dtype"], self.device) for array in arrays)
        out = self.call(*given, softmax_scale=p["scale"], softcap=float(p["softcap"]), causal=rule(case, "causal") is not None,
                        window_size=(window["left"], window["right"]) if window else (-1, -1))
        return [{"out": to_layout(case, from_torch(out, p["dtype"]), "bshd")}]


def targets() -> list:
    return [FlashAttention()]
