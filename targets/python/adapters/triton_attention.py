"""Softmax attention in Triton, in the style of Triton's fused-attention tutorial, as an installed package has it:
flash-linear-attention's `parallel_attn` (fla/ops/attn/parallel.py). On the CPU it runs in Triton's interpreter.

What is claimed is its docstring: [batch, len, heads, dim], queries and keys of one length, causal; window_size counts the query's own
token; grouped heads; a sink's logit for each head joins the sum; the scale is head_dim^-1/2 by default. Scores and sums are f32, the
weights are rounded to the inputs' type before they meet the values. On a GPU products of f32 are TF32's (Triton's default),
and the kernel is compiled for each of its sizes but the length.
"""
from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from attnfuzz_worker import from_torch, rule, to_layout, to_torch

REQUIRES = ["triton", "transformers", "einops", "flash-linear-attention", "torch", "numpy"]
HALF = {"cpu": ("f16",), "cuda": ("f16", "bf16")}  # in Triton's interpreter (3.9) a product of two bf16 tiles is far off


class ParallelAttention:
    def __init__(self, device: str):
        self.device = device
        self.name = "triton-attention:fla-parallel" + "-cuda" * (device == "cuda")
        self.about = "flash-linear-attention's parallel_attn " + ("on CUDA" if device == "cuda" else "in Triton's interpreter")
        self.version = importlib.metadata.version("flash-linear-attention")
        cores = {"truncates": True} if device == "cuda" else {}
        precision = {name: {"accumulate": "f32", "p": name, "exp_ulps": 20} | cores for name in HALF[device]}
        # TF32: a tensor core drops the lower 13 bits of f32 words (PTX ISA, wgmma: .tf32 truncates), so 10 bits are sure.
        precision["f32"] = {"exp_ulps": 20} | cores | ({"factor_bits": 10} if cores else {})
        self.capabilities = {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 150], "kv_len": [1, 150],
                      "head_dim": [16, 64, 16], "head_dim_v": [16, 64, 16]},
            "equal": [["q_len", "kv_len"]], "params": {"window.right": [0, 0]},
            "features": [*(f"dtype:{name}" for name in precision), "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "scale",
                         "sinks", "rule:causal", "rule:window", "data:large", "data:constant", "data:one_hot"],
            "requires": [[f"dtype:{name}", "rule:causal"] for name in precision], "precision": precision}
        if device == "cuda":  # by the kernel's tl.constexpr arguments, and what its heuristics look at
            self.capabilities["compiled_for"] = ["batch", "num_heads", "num_kv_heads", "head_dim", "head_dim_v", "sinks", "rule:window"]

    def load(self) -> None:
        torch.set_num_threads(1)
        if self.device == "cpu":
            os.environ.setdefault("TRITON_INTERPRET", "1")
            name = "attnfuzz_fla_layer"
            spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fla.py"))
            sys.modules[name] = layer = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(layer)
            layer.interpret()
        self.call = import_module("fla.ops.attn.parallel").parallel_attn

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p, window = case["problem"], rule(case, "window")
        q, k, v = (to_torch(np.ascontiguousarray(to_layout(case, tensors[name], "bshd")), p["dtype"], self.device) for name in "qkv")
        sinks = to_torch(np.array(tensors["sinks"]), p["dtype"], self.device) if p["sinks"] else None
        with torch.inference_mode():
            out = self.call(q, k, v, scale=p["scale"], window_size=window["left"] + 1 if window else None, sink_bias=sinks)
        return [{"out": to_layout(case, from_torch(out, p["dtype"]), "bshd")}]


def targets() -> list:
    return [ParallelAttention("cpu"), ParallelAttention("cuda")]
