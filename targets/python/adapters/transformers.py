"""Hugging Face Transformers: whole one-layer models, so that their own mask making and caches are under test.

How the exact answer is had: q_proj, k_proj and v_proj are replaced by modules that return the case's q, k, v
([batch, len, heads * head_dim]), position_ids are all zero (RoPE is then the identity, exactly), QK norm and temperature
tuning are off by config, and the attention's output is read by a hook in front of o_proj. All else (the model's forward,
its mask, its cache, its attention function) is the package's own code, unpatched.

Words: a window rule's `left` counts the tokens before the query, Transformers' sliding_window counts the query too
(left = sliding_window - 1); a chunk rule's `size` is attention_chunk_size. Rows that see no key may hold anything.
"""
from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
import transformers as hf


class Known(torch.nn.Module):
    """A projection whose result is known: returns `value` whatever it is given."""

    value: torch.Tensor

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.value


@dataclass(frozen=True)
class Family:
    """One model family: where it lives, its fixed settings, and which Case options it takes."""

    module: str
    model: str
    config: str
    settings: dict = field(default_factory=dict)
    window: bool = False
    layer_types: bool = False
    chunk: bool = False
    softcap: bool = False
    sinks: bool = False
    scale: bool = False


LLAMA4 = dict(attn_temperature_tuning=False, use_qk_norm=False, num_local_experts=1, num_experts_per_tok=1,
              intermediate_size_mlp=8, moe_layers=[])
FAMILIES = {
    "llama": Family("llama", "LlamaModel", "LlamaConfig"),
    "llama4": Family("llama4", "Llama4TextModel", "Llama4TextConfig", LLAMA4, chunk=True),
    "mistral": Family("mistral", "MistralModel", "MistralConfig", window=True),
    "qwen2": Family("qwen2", "Qwen2Model", "Qwen2Config", dict(max_window_layers=0), window=True, layer_types=True),
    "gemma2": Family("gemma2", "Gemma2Model", "Gemma2Config", dict(hidden_activation="gelu"), window=True,
                     layer_types=True, softcap=True, scale=True),
    "gpt_oss": Family("gpt_oss", "GptOssModel", "GptOssConfig", dict(
        num_local_experts=1, num_experts_per_tok=1, rope_scaling=dict(rope_type="default", rope_theta=1e4)),
        window=True, layer_types=True, sinks=True),
}
IMPLEMENTATIONS = ("eager", "sdpa", "flex_attention")
CACHES = {"dynamic": "DynamicCache", "static": "StaticCache", "sliding": "SlidingWindowCache", "hybrid": "HybridCache",
          "chunked": "HybridChunkedCache"}


def rule(case: dict, name: str) -> dict:
    return next((r for r in case["problem"]["mask"]["rules"] if r["rule"] == name), {})


def flat(heads: np.ndarray) -> torch.Tensor:
    """[batch, heads, len, dim] -> [batch, len, heads * dim]"""
    batch, count, length, dim = heads.shape
    return torch.from_numpy(np.ascontiguousarray(heads.transpose(0, 2, 1, 3)).reshape(batch, length, count * dim))


def attention_mask(case: dict, past: int, q_len: int, prefill: int) -> torch.Tensor:
    """Transformers' own 2-D mask [batch, past + q_len]: 1 for a token, 0 for padding (counted in the prefill)."""
    mask = torch.ones(case["problem"]["batch"], past + q_len, dtype=torch.long)
    padding = rule(case, "padding")
    for row, length in enumerate(padding.get("lens", [])):
        if padding["side"] == "left":
            mask[row, : prefill - length] = 0
        else:
            mask[row, length:prefill] = 0
    return mask


class Target:
    """A model family with one attention implementation; `problem` cases run one forward, `steps` cases use a cache."""

    version = hf.__version__

    def __init__(self, family: str, implementation: str, compiled: bool = True):
        self.family, self.implementation, self.compiled = FAMILIES[family], implementation, compiled
        short = implementation.split("_")[0]
        self.name = f"transformers:{family}-{short}" + ("" if compiled else "-uncompiled")
        self.capabilities = {
            "problem": {"q_len": "== kv_len", "head_dim": "even", "head_dim_v": "== head_dim", "dtype": ["f32"],
                        "num_heads": "multiple of num_kv_heads", "scale": self.family.scale,
                        "softcap": self.family.softcap and implementation != "sdpa",
                        "sinks": self.family.sinks, "memory_kv": False, "fully_masked": ["any"]},
            "mask": {"align": ["bottom_right"], "always": ["causal"] + ["chunk"] * self.family.chunk,
                     "may": ["padding:left", "padding:right"] + ["window"] * self.family.window},
            "caches": [kind for kind, name in CACHES.items() if hasattr(hf, name)],
            "ops": ["prefill", "append", "decode", "crop", "reorder", "reset"],
        }

    def config(self, case: dict):
        p, f = case["problem"], self.family
        settings = dict(
            vocab_size=8, pad_token_id=0, num_hidden_layers=1, intermediate_size=8, max_position_embeddings=1 << 14,
            hidden_size=p["num_heads"] * p["head_dim"], num_attention_heads=p["num_heads"],
            num_key_value_heads=p["num_kv_heads"], head_dim=p["head_dim"], attn_implementation=self.implementation)
        settings |= f.settings
        window = rule(case, "window")
        if f.window:
            settings["sliding_window"] = window["left"] + 1 if window else 4096 if f.layer_types else None
            settings["use_sliding_window"] = bool(window)
            if f.layer_types and find_spec("transformers.masking_utils"):
                settings["layer_types"] = ["sliding_attention" if window else "full_attention"]
        if f.chunk:
            settings["attention_chunk_size"] = rule(case, "chunk")["size"]
        if f.softcap:
            settings["attn_logit_softcapping"] = p.get("softcap") or None
        if f.scale:
            settings["query_pre_attn_scalar"] = round((p.get("scale") or p["head_dim"] ** -0.5) ** -2)
        return getattr(import_module(f"transformers.models.{f.module}"), f.config)(**settings)

    def model(self, case: dict, tensors: dict):
        """The package's model, in evaluation, with known projections in its one layer."""
        config = self.config(case)
        model = getattr(import_module(f"transformers.models.{self.family.module}"), self.family.model)(config).eval()
        attention = model.layers[0].self_attn
        attention.q_proj, attention.k_proj, attention.v_proj = Known(), Known(), Known()
        if self.family.sinks:
            sinks = tensors.get("sinks", np.full(case["problem"]["num_heads"], -np.inf, np.float32))
            attention.sinks.data = torch.from_numpy(np.array(sinks))
        return model

    def cache(self, case: dict, config):
        """A cache of the case's kind, made through whichever constructor this release has."""
        spec, p = case["cache"], case["problem"]
        kind = getattr(hf, CACHES[spec["kind"]])
        offered = dict(config=config, max_cache_len=spec.get("capacity"), max_batch_size=p["batch"],
                       batch_size=p["batch"], device="cpu", dtype=torch.float32)
        taken = inspect.signature(kind.__init__).parameters
        if "max_batch_size" in taken:
            offered.pop("batch_size")
        return kind(**{k: v for k, v in offered.items() if k in taken})

    def forward(self, case: dict, model, q, k, v, past: int, prefill: int, cache=None) -> np.ndarray:
        """One forward of the model on q, k, v [batch, heads, q_len, dim]; the attention's output, same layout."""
        p, (batch, heads, q_len, _) = case["problem"], q.shape
        attention = model.layers[0].self_attn
        attention.q_proj.value, attention.k_proj.value, attention.v_proj.value = flat(q), flat(k), flat(v)
        seen = []
        hook = attention.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        try:
            with torch.inference_mode(), torch.compiler.set_stance("default" if self.compiled else "force_eager"):
                model(inputs_embeds=torch.zeros(batch, q_len, heads * p["head_dim"]),
                      attention_mask=attention_mask(case, past, q_len, prefill),
                      position_ids=torch.zeros(batch, q_len, dtype=torch.long),
                      past_key_values=cache, use_cache=cache is not None)
        finally:
            hook.remove()
        return seen[0].reshape(batch, q_len, heads, -1).transpose(1, 2).numpy()

    def run(self, case: dict, tensors: dict) -> list[dict]:
        torch.manual_seed(0)
        model = self.model(case, tensors)
        if "steps" not in case or not case["steps"]:
            q_len = tensors["q"].shape[2]
            out = self.forward(case, model, tensors["q"], tensors["k"], tensors["v"], 0, q_len)
            return [{"out": out, "lengths": [q_len] * len(out)}]
        cache, past, prefill, results = self.cache(case, model.config), 0, case["steps"][0].get("q_len", 0), []
        for i, step in enumerate(case["steps"]):
            if step["op"] in ("prefill", "append", "decode"):
                q, k, v = (tensors[f"{name}.{i}"] for name in "qkv")
                out = self.forward(case, model, q, k, v, past, prefill, cache)
                past += q.shape[2]
            else:
                out = np.zeros((0, 0, 0, 0), np.float32)
                if step["op"] == "crop":
                    cache.crop(past := step["length"])
                elif step["op"] == "reorder":
                    cache.reorder_cache(torch.tensor(step["rows"]))
                else:
                    cache.reset()
                    past = 0
            results.append({"out": out, "lengths": [int(cache.get_seq_length())] * case["problem"]["batch"]})
        return results


def targets() -> list:
    """Every family this release has, with every attention implementation; flex compiled and not."""
    found = []
    for name, family in FAMILIES.items():
        try:
            getattr(import_module(f"transformers.models.{family.module}"), family.model)
        except (ImportError, AttributeError):
            continue
        for implementation in IMPLEMENTATIONS:
            if family.sinks and implementation == "sdpa":
                continue  # the package rejects it: "GptOssModel does not support ... scaled_dot_product_attention"
            found.append(Target(name, implementation))
            if implementation == "flex_attention":
                found.append(Target(name, implementation, compiled=False))
    return found
