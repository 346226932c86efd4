"""flash-linear-attention: its GatedLinearAttention layer with its own cache.

q_proj, k_proj, v_proj and gk_proj are replaced by modules that return the case's q, k, v and a closed gate (all of the past is
forgotten), so the layer's answer is out_i = head_dim^-1/2 * (q_i . k_i) v_i. A Case says softmax attention; the two agree where
each query sees its own token alone (window 0) and head_dim^-1/2 * (q . k) is 1 (constant data, head_dim 16), and that is all
that is claimed. `lengths` is what the cache reports: the documented bug counts heads in place of tokens. The answer is read in
front of the output norm, which is replaced by the identity (it asks for a GPU by name and is no attention).

Without a GPU the package's Triton kernels run in Triton's interpreter (TRITON_INTERPRET=1, set here); its autotuner then
needs a driver to time candidates with, and gets one that runs each once.
"""
from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from attnfuzz_worker import merge_heads, to_layout

REQUIRES = ["triton", "transformers", "einops", "torch", "numpy"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def interpret() -> None:
    """Set Triton up to run kernels in its interpreter, on the CPU; before the package is imported."""
    os.environ.setdefault("TRITON_INTERPRET", "1")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.backends.driver import DriverBase

    class RunOnce(DriverBase):
        """A driver without a device: the autotuner's benchmark is one run, every candidate takes the same time."""

        is_active = classmethod(lambda cls: True)
        map_python_to_cpp_type = staticmethod(str)
        get_current_target = lambda self: GPUTarget("cpu", 0, 1)
        get_active_torch_device = lambda self: torch.device("cpu")
        get_current_device = lambda self: 0

        def get_benchmarker(self):
            def once(call, quantiles=(0.5,), **_):
                call()
                return [1.0] * len(quantiles)
            return once

    triton.runtime.driver.set_active(RunOnce())


class Known(torch.nn.Module):
    """A projection whose result is known: returns `value` ([batch, len, heads * dim]) whatever it is given."""

    value: np.ndarray

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.value).to(hidden.device)


class Read(torch.nn.Module):
    """The identity; keeps what passed through it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x
        return x


class Target:
    """Head sizes are powers of 2 (the recurrent kernel's blocks are as wide as a head: "arange's range must be a power of 2")."""

    name = "fla:gla"
    about = "GatedLinearAttention with closed gates, and its cache"
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 64], "kv_len": [1, 128],
                  "head_dim": [16, 16], "head_dim_v": [16, 32, 16], "steps": [1, 6]},
        "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "rule:causal", "rule:window",
                     "data:constant", "cache:dynamic", "step:prefill", "step:append", "step:decode"],
        "requires": [["dtype:f32", "cache:dynamic"], ["dtype:f32", "rule:window"], ["dtype:f32", "data:constant"]],
        "params": {"window.left": [0, 0], "window.right": [0, 0]},
    }

    @property
    def version(self) -> str:
        """The package's own word, read without importing it (which compiles kernels)."""
        return re.search(r"__version__ = ['\"](.+?)['\"]", Path(find_spec("fla").origin).read_text())[1]

    def load(self) -> None:
        if DEVICE == "cpu":
            interpret()
        import fla.layers.gla  # noqa: F401

    def layer(self, problem: dict):
        from fla.layers.gla import GatedLinearAttention
        hidden = problem["num_heads"] * problem["head_dim"]
        layer = GatedLinearAttention(
            hidden_size=hidden, num_heads=problem["num_heads"], num_kv_heads=problem["num_kv_heads"], expand_k=1.0,
            expand_v=problem["head_dim_v"] / problem["head_dim"], use_output_gate=False, layer_idx=0).eval()
        layer.q_proj, layer.k_proj, layer.v_proj, layer.gk_proj, layer.g_norm = Known(), Known(), Known(), Known(), Read()
        return layer.to(DEVICE)

    def run(self, case: dict, tensors: dict) -> list[dict]:
        self.load()
        from fla.models.utils import Cache
        problem = case["problem"]
        layer, cache, results = self.layer(problem), Cache(), []
        for i in range(len(case["steps"])):
            q, k, v = (merge_heads(case, tensors[f"{name}.{i}"]) for name in "qkv")
            layer.q_proj.value, layer.k_proj.value, layer.v_proj.value = q, k, v
            layer.gk_proj.value = np.full(k.shape, -1e6, k.dtype)  # exp(logsigmoid(-1e6) / 16) = 0: all is forgotten
            with torch.inference_mode():
                layer(torch.zeros(*q.shape[:2], layer.hidden_size, device=DEVICE), past_key_values=cache, use_cache=True)
            results.append({"out": to_layout(case, layer.g_norm.seen.cpu().numpy(), "bshd"),
                            "lengths": [int(cache.get_seq_length())] * problem["batch"]})
        return results


def targets() -> list:
    return [Target()]
