"""x-transformers: its Attention layer, plain and flash path, with memory KV, shared KV heads, window and cache.

to_q, to_k and to_v are replaced by modules that return the case's q, k, v ([batch, len, heads * dim]); mem_k and mem_v
are set to the case's ([kv_heads, memory, dim]); the attention's output is read in front of to_out. The rest is the
package's own code.

Words: the package maps query head h to KV head h % kv_heads (a Case: h // (heads / kv_heads)), so query heads go in and
come out permuted. max_attend_past is a window's `left`. Causal is bottom-right; memory KV is seen by every query.
"""
from __future__ import annotations

import inspect
from importlib.metadata import version

import numpy as np
import torch
from x_transformers.x_transformers import Attention

OPTIONS = inspect.signature(Attention.__init__).parameters


class Known(torch.nn.Module):
    """A projection whose result is known: `value` ([batch, heads, len, dim]) in the layer's [batch, len, heads * dim]."""

    value: np.ndarray

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        batch, heads, length, dim = self.value.shape
        return torch.from_numpy(np.ascontiguousarray(self.value.transpose(0, 2, 1, 3))).reshape(batch, length, -1)


def rules(case: dict) -> dict:
    return {r["rule"]: r for r in case["problem"]["mask"]["rules"]}


class Target:
    """Attention(flash=…): one call for a plain problem, `cache` handed on from step to step for a sequence."""

    version = version("x-transformers")

    def __init__(self, flash: bool):
        self.flash = flash
        self.name = "x-transformers:attention-" + ("flash" if flash else "plain")
        self.capabilities = {
            "problem": {"q_len": "== kv_len, or any without causal", "head_dim": "any", "dtype": ["f32"], "scale": False,
                        "head_dim_v": "any", "num_heads": "multiple of num_kv_heads", "memory_kv": "any",
                        "softcap": "softclamp_logits" in OPTIONS and not flash,
                        "sinks": "head_learned_sink" in OPTIONS and not flash,
                        "fully_masked": ["zero", "any"] if flash else ["any"]},
            "mask": {"align": ["bottom_right"], "may": ["causal", "window:past", "padding:left", "padding:right", "explicit"]},
            "caches": ["dynamic"],
            "ops": ["prefill", "append", "decode"],
        }

    def layer(self, case: dict, tensors: dict) -> Attention:
        p, given = case["problem"], rules(case)
        options = dict(dim=8, heads=p["num_heads"], dim_head=p["head_dim"], value_dim_head=p["head_dim_v"],
                       num_mem_kv=p["memory_kv"], causal="causal" in given, flash=self.flash)
        options |= dict(one_kv_head=True) if p["num_kv_heads"] == 1 < p["num_heads"] else dict(kv_heads=p["num_kv_heads"])
        if "window" in given:
            options["max_attend_past"] = given["window"]["left"]
        if p.get("softcap"):
            options |= dict(softclamp_logits=True, logit_softclamp_value=p["softcap"])
        if p.get("sinks"):
            options["head_learned_sink"] = True
        torch.manual_seed(0)
        layer = Attention(**options).eval()
        layer.to_q, layer.to_k, layer.to_v = Known(), Known(), Known()
        for name in ("mem_k", "mem_v")[: 2 * (p["memory_kv"] > 0)]:
            parameter = getattr(layer, name)
            if parameter.shape == tensors[name].shape:  # a wrongly shaped memory is left as it is: the layer's own bug
                parameter.data = torch.from_numpy(np.array(tensors[name]))
        if p.get("sinks"):
            layer.attend.head_attn_sink.data = torch.from_numpy(np.array(tensors["sinks"]))[self.order(p)]
        return layer

    @staticmethod
    def order(p: dict) -> list[int]:
        """order[i] is the Case's query head that goes in as the package's head i."""
        group = p["num_heads"] // p["num_kv_heads"]
        return [i % p["num_kv_heads"] * group + i // p["num_kv_heads"] for i in range(p["num_heads"])]

    def call(self, case: dict, layer: Attention, q, k, v, prefill: int, mask=None, **more) -> tuple[np.ndarray, object]:
        """One call of the layer; its attention output [batch, heads, q_len, dim_v] and its intermediates."""
        p, given, order = case["problem"], rules(case), self.order(case["problem"])
        batch, heads, q_len, kv_len = *q.shape[:3], k.shape[2]
        layer.to_q.value, layer.to_k.value, layer.to_v.value = q[:, order], k, v
        x, cross = torch.zeros(batch, q_len, 8), q_len != kv_len
        if cross:
            more["context"] = torch.zeros(batch, kv_len, 8)
        if "padding" in given:
            past = more["cache"].cached_kv[0].shape[-2] if "cache" in more else 0
            keep = torch.ones(batch, past + kv_len, dtype=torch.bool)
            for row, length in enumerate(given["padding"]["lens"]):
                keep[row, slice(0, prefill - length) if given["padding"]["side"] == "left" else slice(length, prefill)] = False
            more["context_mask" if cross else "mask"] = keep
        if mask is not None:
            more["attn_mask"] = torch.from_numpy(np.array(mask, dtype=bool))
        seen = []
        hook = layer.to_out.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        try:
            with torch.inference_mode():
                _, intermediates = layer(x, return_intermediates=True, **more)
        finally:
            hook.remove()
        out = seen[0].reshape(batch, q_len, heads, -1).transpose(1, 2).numpy()
        return out[:, np.argsort(order)], intermediates

    def run(self, case: dict, tensors: dict) -> list[dict]:
        layer, batch = self.layer(case, tensors), case["problem"]["batch"]
        if not case.get("steps"):
            out, _ = self.call(case, layer, tensors["q"], tensors["k"], tensors["v"], tensors["k"].shape[2], tensors.get("mask"))
            return [{"out": out, "lengths": [tensors["k"].shape[2]] * batch}]
        results, more = [], {}
        for i, step in enumerate(case["steps"]):
            q, k, v = (tensors[f"{name}.{i}"] for name in "qkv")
            out, intermediates = self.call(case, layer, q, k, v, case["steps"][0]["q_len"], **more)
            results.append({"out": out, "lengths": [intermediates.cached_kv[0].shape[-2]] * batch})
            more = dict(cache=intermediates)
        return results


def targets() -> list:
    return [Target(flash=False), Target(flash=True)]
