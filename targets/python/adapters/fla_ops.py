"""flash-linear-attention's operations on their own, with the package's cache between steps: the ones in plain PyTorch (naive, token by
token and in chunks), and the Triton kernels (fused_recurrent, chunk). Without a GPU the kernels run in Triton's interpreter.

A state S goes from call to call as `recurrent_state` of fla.models.utils.Cache, and comes back as `initial_state`. What is claimed is
each function's own formula (docs/states.md has the same): gates are logarithms, beta is as given, the scale is head_dim^-1/2, no
normalisation of q and k. Sums are f32.
"""
from __future__ import annotations

import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from attnfuzz_worker import from_torch, to_layout, to_torch

REQUIRES = ["triton", "transformers", "einops", "torch", "numpy"]


@dataclass(frozen=True)
class Operation:
    """Where a kind of attention is computed, and under which names it takes what."""

    module: str
    function: str
    gate: str = ""  # the argument for the decay's logarithm; empty: it has none
    beta: str = ""
    heads_first: bool = False  # [batch, heads, len, dim]
    state: bool = True  # takes and gives a state
    options: tuple = ()


NAIVE = {
    "linear": Operation("gla.naive", "naive_recurrent_gla", gate="gk"),
    "retnet": Operation("retention.naive", "naive_retention", heads_first=True, state=False),
    "ssd": Operation("simple_gla.naive", "naive_recurrent_simple_gla", gate="g"),
    "delta": Operation("delta_rule.naive", "delta_rule_recurrence", beta="beta", heads_first=True),
    "gated_delta": Operation("gated_delta_rule.naive", "naive_recurrent_gated_delta_rule", gate="g", beta="beta"),
}
NAIVE_CHUNKED = {
    "ssd": Operation("simple_gla.naive", "naive_chunk_simple_gla", gate="g"),
    "gated_delta": Operation("gated_delta_rule.naive", "naive_chunk_gated_delta_rule", gate="g", beta="beta"),
}
RECURRENT = {
    "linear": Operation("gla", "fused_recurrent_gla", gate="gk"),
    "retnet": Operation("retention", "fused_recurrent_retention"),
    "ssd": Operation("simple_gla", "fused_recurrent_simple_gla", gate="g"),
    "delta": Operation("delta_rule", "fused_recurrent_delta_rule", beta="beta"),
    "gated_delta": Operation("gated_delta_rule", "fused_recurrent_gated_delta_rule", gate="g", beta="beta"),
}
CHUNKED = {
    "linear": Operation("gla", "chunk_gla", gate="g"),
    "retnet": Operation("retention", "chunk_retention"),
    "ssd": Operation("simple_gla", "chunk_simple_gla", gate="g"),
    "delta": Operation("delta_rule", "chunk_delta_rule", beta="beta"),
    "gated_delta": Operation("gated_delta_rule", "chunk_gated_delta_rule", gate="g", beta="beta"),
}
HALF = ("f16", "bf16")
STEPS = ["cache:dynamic", "step:prefill", "step:append", "step:decode"]


def interpret() -> None:
    """Set Triton up to run kernels on the CPU, as the layer's adapter does; before the package is imported."""
    name = "attnfuzz_fla_layer"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fla.py"))
    sys.modules[name] = layer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layer)
    layer.interpret()


class Target:
    def __init__(self, name: str, about: str, operations: dict, sizes: dict, device: str = "cpu", kernels: bool = False,
                 dtypes: tuple = ("f32",)):
        self.name, self.about, self.operations, self.device = f"fla-ops:{name}", about, operations, device
        # On a GPU the kernels' products of f32 are TF32's (Triton's default), whose lower 13 bits the tensor core drops
        # (PTX ISA, wgmma: .tf32 truncates): 10 bits are sure.
        cores = {"truncates": True} if kernels and device == "cuda" else {}
        precision = {name: {"accumulate": "f32", "p": name, "exp_ulps": 20} | cores for name in HALF}
        precision["f32"] = {"exp_ulps": 20} | cores | ({"factor_bits": 10} if cores else {})
        kinds = [f"kind:{kind}" for kind in operations]
        stateless = [f"kind:{kind}" for kind, operation in operations.items() if not operation.state]
        self.capabilities = {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "steps": [0, 6]} | sizes,
            "equal": [["q_len", "kv_len"], ["num_heads", "num_kv_heads"]],
            "features": [*(f"dtype:{name}" for name in dtypes), "layout:bhsd", "layout:bshd", "head_dim_v", "rule:causal", *kinds, *STEPS],
            "requires": [[f"dtype:{name}", "rule:causal"] for name in dtypes],
            "excludes": [[kind, "cache:dynamic"] for kind in stateless], "precision": {name: precision[name] for name in dtypes}}
        if cores:  # the kernels take these as tl.constexpr, and are tuned by them; the lengths they are not specialised for
            self.capabilities["compiled_for"] = ["batch", "num_heads", "num_kv_heads", "head_dim", "head_dim_v", *kinds]

    @property
    def version(self) -> str:
        """The package's own word, read without importing it (which compiles kernels)."""
        return re.search(r"__version__ = ['\"](.+?)['\"]", Path(find_spec("fla").origin).read_text())[1]

    def load(self) -> None:
        torch.set_num_threads(1)
        if self.device == "cpu":
            os.environ.setdefault("TRITON_INTERPRET", "1")
            interpret()
        import_module("fla.ops.gla.naive")

    def call(self, case: dict, tensors: dict, suffix: str, state):
        """One call: its output in the case's layout, and the state after it."""
        p = case["problem"]
        operation = self.operations[p["kind"]]
        function = getattr(import_module(f"fla.ops.{operation.module}"), operation.function)
        order = "bhsd" if operation.heads_first else "bshd"

        def given(name: str):
            array = tensors[name + suffix]
            if array.ndim == 3:  # one number for each token and head
                array = to_layout(case, array[..., None], order)[..., 0]
            else:
                array = to_layout(case, array, order)
            return to_torch(np.ascontiguousarray(array), p["dtype"], self.device)

        more = {word: given(name) for word, name in ((operation.gate, "gate"), (operation.beta, "beta")) if word}
        if operation.state:
            more |= {"initial_state": state, "output_final_state": True}
        with torch.inference_mode():
            out = function(*(given(name) for name in "qkv"), **more, **dict(operation.options))
        out, state = out if operation.state else (out, None)
        return to_layout(case, from_torch(out, p["dtype"]), order), state

    def run(self, case: dict, tensors: dict) -> list[dict]:
        if not case.get("steps"):
            return [{"out": self.call(case, tensors, "", None)[0]}]
        from fla.models.utils import Cache

        cache, results = Cache(), []
        for i, step in enumerate(case["steps"]):
            past = cache[0]["recurrent_state"] if len(cache) else None
            out, state = self.call(case, tensors, f".{i}", past)
            cache.update(recurrent_state=state, layer_idx=0, offset=step["q_len"])
            results.append({"out": out, "lengths": [int(cache.get_seq_length())] * case["problem"]["batch"]})
        return results


def targets() -> list:
    plain = {"q_len": [1, 70], "kv_len": [1, 140], "head_dim": [1, 64], "head_dim_v": [1, 64]}
    kernel = {"q_len": [1, 140], "kv_len": [1, 200], "head_dim": [16, 64, 16], "head_dim_v": [16, 64, 16]}
    found = [Target("naive-recurrent", "plain PyTorch, token by token", NAIVE, plain),
             Target("naive-chunked", "plain PyTorch, in chunks", NAIVE_CHUNKED, plain)]
    for device, suffix, where in (("cpu", "", "in Triton's interpreter"), ("cuda", "-cuda", "on CUDA")):
        found.append(Target(f"fused-recurrent{suffix}", f"the Triton kernels, token by token, {where}", RECURRENT, kernel, device,
                            kernels=True, dtypes=("f32", *HALF)))
    # chunk_delta_rule says itself that it takes no f32; Triton's interpreter stops in chunk_gla ("'int' object has no attribute 'to'").
    found.append(Target("chunk-cuda", "the Triton kernels, in chunks, on CUDA", CHUNKED, kernel, "cuda", kernels=True, dtypes=HALF))
    return found
