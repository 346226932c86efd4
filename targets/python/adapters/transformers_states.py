"""Hugging Face Transformers' layers with a state, with its cache (LinearAttentionLayer in a DynamicCache), on their PyTorch code:
Gated DeltaNet (chunks of 64, token by token for a decode) and Mamba-2 (the same).

How the exact answer is had: the input projections are replaced by modules that return what makes the case's q, k, v, gate and beta;
the causal convolution hands its newest token on (config hidden_act "linear", weight 0 … 0 1); l2norm of q and k is the identity; the
output is read where the gated output norm would take it. The layer's forward, its cache and its kernels' PyTorch forms are the
package's own code.

Words: Gated DeltaNet takes q / sqrt(head_dim) itself; its gate is -softplus(a) here (A_log and dt_bias 0), its beta sigmoid(b).
Mamba-2 has B, C and x for k, q and v, state_size for head_dim, dt = softplus(…) for the decay (A is -1) and dt x for v; a group
of B and C for each head; no scale and (here) no D.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module

import numpy as np
import torch
import transformers as hf
from attnfuzz_modules import Known
from attnfuzz_worker import merge_heads, to_layout

REQUIRES = ["transformers", "torch", "numpy"]
LEAST_STEP = 2.0**-40  # a decay of exp(-2^-40) is 1 in f32, and v / 2^-40 is exact


class Read(torch.nn.Module):
    """The identity; keeps what passed through it."""

    def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        self.seen = x
        return x


def newest(convolution: torch.nn.Conv1d) -> None:
    """Makes a causal convolution hand its newest token on."""
    convolution.weight.data.zero_()
    convolution.weight.data[..., -1] = 1


def inverse_softplus(x: np.ndarray) -> torch.Tensor:
    """Of x >= 0, in f32; -inf for 0."""
    wide = x.astype(np.float64)
    with np.errstate(divide="ignore"):
        return torch.from_numpy((wide + np.log(-np.expm1(-wide))).astype(np.float32))


def merged(case: dict, array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(merge_heads(case, array))


def by_token(case: dict, array: np.ndarray) -> np.ndarray:
    """[batch, len, heads] of one number for each token and head."""
    return np.ascontiguousarray(to_layout(case, array[..., None], "bshd")[..., 0])


class GatedDelta:
    kind = "gated_delta"

    @staticmethod
    def settings(p: dict) -> dict:
        return dict(linear_num_value_heads=p["num_heads"], linear_num_key_heads=p["num_heads"], linear_key_head_dim=p["head_dim"],
                    linear_value_head_dim=p["head_dim_v"], layer_types=["linear_attention"])

    @staticmethod
    def prepare(layer, module) -> None:
        module.l2norm = lambda x, dim=-1, eps=0.0: x
        layer.A_log.data.zero_()
        layer.dt_bias.data.zero_()

    @staticmethod
    def gates(case: dict, given: dict) -> tuple[torch.Tensor, torch.Tensor]:
        """What beta = sigmoid(b) and gate = -softplus(a) come from, [batch, len, heads]."""
        return torch.logit(torch.from_numpy(by_token(case, given["beta"]))), inverse_softplus(-by_token(case, given["gate"]))


class Interleaved(GatedDelta):
    """Qwen3-Next: one projection with q, k, v, z of each head together, one with b and a."""

    def project(self, case: dict, layer, given: dict) -> None:
        q, k, v = (torch.from_numpy(np.ascontiguousarray(to_layout(case, given[name], "bshd"))) for name in "qkv")
        layer.in_proj_qkvz.value = torch.cat([q, k, v, torch.zeros_like(v)], -1).flatten(2)
        layer.in_proj_ba.value = torch.stack(self.gates(case, given), -1).flatten(2)


class Separate(GatedDelta):
    """Qwen3.5: q, k and v one behind the other, and a projection each for z, b and a."""

    def project(self, case: dict, layer, given: dict) -> None:
        q, k, v = (merged(case, given[name]) for name in "qkv")
        layer.in_proj_qkv.value, layer.in_proj_z.value = torch.cat([q, k, v], -1), torch.zeros_like(v)
        layer.in_proj_b.value, layer.in_proj_a.value = self.gates(case, given)


class Ssd:
    kind = "ssd"

    @staticmethod
    def settings(p: dict) -> dict:
        return dict(num_heads=p["num_heads"], head_dim=p["head_dim_v"], state_size=p["head_dim"], n_groups=p["num_heads"], expand=1,
                    hidden_size=p["num_heads"] * p["head_dim_v"], use_conv_bias=False)

    @staticmethod
    def prepare(layer, module) -> None:
        for parameter in (layer.A_log, layer.dt_bias, layer.D):
            parameter.data.zero_()

    @staticmethod
    def project(case: dict, layer, given: dict) -> None:
        p = case["problem"]
        before = inverse_softplus(np.maximum(-by_token(case, given["gate"]), LEAST_STEP))
        step = torch.nn.functional.softplus(before)[..., None]
        v = torch.from_numpy(np.ascontiguousarray(to_layout(case, given["v"], "bshd"))) / step
        scale = np.float32(p["scale"] if p["scale"] is not None else p["head_dim"] ** -0.5)
        k, q = merged(case, given["k"]), merged(case, given["q"] * scale)
        x = v.flatten(2)
        layer.in_proj.value = torch.cat([torch.zeros_like(x), x, k, q, before], -1)


@dataclass(frozen=True)
class Family:
    """Where a layer lives, its fixed settings, and how q, k, v and the gates are put into it."""

    module: str
    layer: str
    config: str
    form: object
    projections: tuple
    settings: dict = field(default_factory=dict)


FAMILIES = {
    "qwen3-next": Family("qwen3_next", "Qwen3NextGatedDeltaNet", "Qwen3NextConfig", Interleaved(), ("in_proj_qkvz", "in_proj_ba")),
    "qwen3-5": Family("qwen3_5", "Qwen3_5GatedDeltaNet", "Qwen3_5TextConfig", Separate(), ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a")),
    "mamba2": Family("mamba2", "Mamba2Mixer", "Mamba2Config", Ssd(), ("in_proj",)),
}


class Target:
    version = hf.__version__

    def __init__(self, name: str):
        self.family = FAMILIES[name]
        self.name, self.about = f"transformers-states:{name}", f"{self.family.layer} and its cache"
        self.capabilities = {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 140], "kv_len": [1, 200],
                      "head_dim": [1, 64], "head_dim_v": [1, 64], "steps": [0, 6]},
            "equal": [["q_len", "kv_len"], ["num_heads", "num_kv_heads"]],
            "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "head_dim_v", "rule:causal", f"kind:{self.family.form.kind}",
                         "cache:dynamic", *(f"step:{name}" for name in ("prefill", "append", "decode", "reorder", "reset"))],
            "requires": [["dtype:f32", "rule:causal"]],
            "precision": {"f32": {"exp_ulps": 20}}, "tiles": {"q_len": [64], "kv_len": [64]}}
        if self.family.form.kind == "ssd":
            self.capabilities["features"].append("scale")

    def layer(self, case: dict):
        """The package's layer with known projections, and its config."""
        family, p = self.family, case["problem"]
        module = import_module(f"transformers.models.{family.module}.modeling_{family.module}")
        package = import_module(f"transformers.models.{family.module}")
        config = getattr(package, family.config)(num_hidden_layers=1, hidden_act="linear", **family.form.settings(p))
        layer = getattr(module, family.layer)(config, layer_idx=0).eval()
        family.form.prepare(layer, module)
        newest(layer.conv1d)
        for name in family.projections:
            setattr(layer, name, Known())
        layer.norm, layer.out_proj = Read(), torch.nn.Identity()
        return layer, config

    @torch.inference_mode()
    def run(self, case: dict, tensors: dict) -> list[dict]:
        layer, config = self.layer(case)
        cache = hf.DynamicCache(config=config) if case.get("steps") else None
        return [{"out": self.step(case, layer, cache, step, tensors, suffix)} for step, suffix in
                ([(step, f".{i}") for i, step in enumerate(case["steps"])] if cache else [({"op": "prefill"}, "")])]

    def step(self, case: dict, layer, cache, step: dict, tensors: dict, suffix: str) -> np.ndarray | None:
        if step["op"] == "reorder":
            return cache.reorder_cache(torch.tensor(step["rows"]))
        if step["op"] == "reset":
            return cache.reset()
        given = {name: tensors[name + suffix] for name in ("q", "k", "v", "gate", "beta") if name + suffix in tensors}
        self.family.form.project(case, layer, given)
        batch, length = to_layout(case, given["q"], "bshd").shape[:2]
        layer(torch.zeros(batch, length, layer.hidden_size), cache)
        p = case["problem"]
        return to_layout(case, layer.norm.seen.reshape(batch, length, p["num_heads"], p["head_dim_v"]).numpy(), "bshd")


def targets() -> list:
    """Every family that this release has, with caches of their kind."""
    found = []
    for name, family in FAMILIES.items():
        try:
            layer = getattr(import_module(f"transformers.models.{family.module}.modeling_{family.module}"), family.layer)
        except (ImportError, AttributeError):
            continue
        if hasattr(hf.cache_utils, "LinearAttentionLayer") and layer:
            found.append(Target(name))
    return found
