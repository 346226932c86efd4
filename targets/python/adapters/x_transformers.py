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
from attnfuzz_modules import Known
from attnfuzz_worker import merge_heads, rule, split_heads, to_layout, visible
from x_transformers.x_transformers import Attention

REQUIRES = ["x-transformers", "torch", "numpy"]

OPTIONS = inspect.signature(Attention.__init__).parameters


class Target:
    """Attention(flash=…): one call for a plain problem; with steps, each call gets the one before's `cache`."""

    version = version("x-transformers")

    def __init__(self, flash: bool):
        self.flash = flash
        self.name = "x-transformers:attention-" + ("flash" if flash else "plain")
        self.about = f"Attention(flash={flash})"
        options = {"softcap": "softclamp_logits", "sinks": "head_learned_sink"}  # the plain path's, in newer releases
        self.capabilities = {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 48], "kv_len": [1, 64],
                      "head_dim": [1, 64], "head_dim_v": [1, 64], "memory_kv": [0, 8], "steps": [0, 6]},
            "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "memory_kv", "cross", "longer_q",
                         "head_map:grouped", "head_map:interleaved", "rule:causal", "rule:window", "rule:padding",
                         "rule:boolean", *(f"boolean.shape:{shape}" for shape in ("qk", "bqk", "hqk", "bhqk")),
                         "padding.side:left", "padding.side:right", "fully_masked:any", "cache:dynamic", "step:prefill",
                         "step:append", "step:decode"] + [f for f, o in options.items() if o in OPTIONS and not flash],
            "requires": [["rule:window", "rule:causal"]],
            "excludes": [["cross", "rule:causal"], ["cross", "rule:window"], ["rule:padding", "cache:dynamic"],
                         ["rule:boolean", "cache:dynamic"]],
            "params": {"window.right": [0, 0]},
        }

    def layer(self, case: dict, tensors: dict) -> Attention:
        p, window = case["problem"], rule(case, "window")
        options = dict(dim=8, heads=p["num_heads"], dim_head=p["head_dim"], value_dim_head=p["head_dim_v"],
                       num_mem_kv=p["memory_kv"], causal=rule(case, "causal") is not None, flash=self.flash)
        options |= dict(one_kv_head=True) if p["num_kv_heads"] == 1 < p["num_heads"] else dict(kv_heads=p["num_kv_heads"])
        if window:
            options["max_attend_past"] = window["left"]
        if p["softcap"]:
            options |= dict(softclamp_logits=True, logit_softclamp_value=p["softcap"])
        if p["sinks"]:
            options["head_learned_sink"] = True
        torch.manual_seed(0)
        layer = Attention(**options).eval()
        layer.to_q, layer.to_k, layer.to_v = Known(), Known(), Known()
        if p["memory_kv"]:
            for name, parameter in (("mem_k", layer.mem_k), ("mem_v", layer.mem_v)):
                memory = torch.from_numpy(np.array(tensors[name]))
                if parameter.shape == memory.shape:  # one of another shape is left as it is: that is the layer's own bug
                    parameter.data = memory
        if p["sinks"]:
            layer.attend.head_attn_sink.data = torch.from_numpy(np.array(tensors["sinks"]))[self.order(p)]
        return layer

    @staticmethod
    def order(p: dict) -> np.ndarray:
        """order[i] is the Case's query head that goes in as the package's head i."""
        if p["head_map"] == "interleaved":
            return np.arange(p["num_heads"])
        return np.arange(p["num_heads"]).reshape(p["num_kv_heads"], -1).T.ravel()

    def call(self, case: dict, layer: Attention, tensors: dict, suffix: str = "", **more) -> tuple[np.ndarray, object]:
        """One call of the layer on the case's q, k, v (of a step: suffix ".STEP"): its attention output, and its intermediates."""
        order, padding = self.order(case["problem"]), rule(case, "padding")
        q, k, v = (tensors[name + suffix] for name in "qkv")
        q = to_layout(case, to_layout(case, q, "bhsd")[:, order], "bhsd")
        for module, array in ((layer.to_q, q), (layer.to_k, k), (layer.to_v, v)):
            module.value = torch.from_numpy(merge_heads(case, array))
        batch, q_len, kv_len = len(q), layer.to_q.value.shape[1], layer.to_k.value.shape[1]
        cross = q_len != kv_len
        if cross:
            more["context"] = torch.zeros(batch, kv_len, 8)
        if padding:
            lens, slots = np.array(padding["lens"])[:, None], np.arange(kv_len)
            real = slots >= kv_len - lens if padding["side"] == "left" else slots < lens
            more["context_mask" if cross else "mask"] = torch.from_numpy(real)
        if rule(case, "boolean"):
            more["attn_mask"] = torch.from_numpy(visible(tensors)[:, order])
        seen = []
        hook = layer.to_out.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        try:
            with torch.inference_mode():
                _, intermediates = layer(torch.zeros(batch, q_len, 8), return_intermediates=True, **more)
        finally:
            hook.remove()
        out = to_layout(case, split_heads(case, seen[0].numpy(), case["problem"]["num_heads"]), "bhsd")
        return to_layout(case, out[:, np.argsort(order)], "bhsd"), intermediates

    def run(self, case: dict, tensors: dict) -> list[dict]:
        layer = self.layer(case, tensors)
        if not case.get("steps"):
            return [{"out": self.call(case, layer, tensors)[0]}]
        results, more = [], {}
        for i in range(len(case["steps"])):
            out, intermediates = self.call(case, layer, tensors, f".{i}", **more)
            results.append({"out": out, "lengths": [intermediates.cached_kv[0].shape[-2]] * case["problem"]["batch"]})
            more = {"cache": intermediates}
        return results


def targets() -> list:
    return [Target(flash=False), Target(flash=True)]
