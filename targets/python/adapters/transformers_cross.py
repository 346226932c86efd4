"""Hugging Face Transformers: decoders that read an encoder, with an EncoderDecoderCache (a growing cache for each side, or one of
a given capacity for the encoder's keys, as generate() makes for a compiled decoder).

How the exact answer is had: the cross attention's q_proj, k_proj and v_proj are replaced by modules that return the case's q, k, v,
and its output is read in front of the output projection. The decoder's forward, its masks and its cache are the package's own code.
The encoder's padding is `encoder_attention_mask`; the caller reorders that with the rows, as generate() does.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module

import numpy as np
import torch
import transformers as hf
from attnfuzz_modules import Known
from attnfuzz_worker import merge_heads, split_heads

REQUIRES = ["transformers", "torch", "numpy"]


def bart(p: dict) -> dict:
    return dict(d_model=p["num_heads"] * p["head_dim"], decoder_layers=1, encoder_layers=1, decoder_attention_heads=p["num_heads"],
                decoder_ffn_dim=8)


def gemma(p: dict) -> dict:
    hidden = p["num_heads"] * p["head_dim"]
    return dict(hidden_size=hidden, cross_attention_hidden_size=hidden, intermediate_size=8, num_hidden_layers=1, dropout_rate=0.0,
                num_attention_heads=p["num_heads"], num_key_value_heads=p["num_kv_heads"], head_dim=p["head_dim"],
                query_pre_attn_scalar=p["head_dim"], attn_logit_softcapping=float(p["softcap"]) or None, is_decoder=True,
                layer_types=["full_attention"])


@dataclass(frozen=True)
class Family:
    """A decoder: where it lives, its settings for a problem, what its cross attention is called, and what it takes besides."""

    module: str
    decoder: str
    config: str
    settings: object
    attention: str
    output: str
    implementations: tuple
    features: tuple = ()
    equal: tuple = ()
    fixed: dict = field(default_factory=dict)


FAMILIES = {
    "bart": Family("bart", "BartDecoder", "BartConfig", bart, "encoder_attn", "out_proj", ("eager", "sdpa"),
                   equal=(["num_heads", "num_kv_heads"],)),
    "t5gemma": Family("t5gemma", "T5GemmaDecoder", "T5GemmaModuleConfig", gemma, "cross_attn", "o_proj", ("eager",),
                      features=("gqa", "mqa", "softcap")),
}


class Session:
    """A decoder with its cache: keeps which of each row's keys are real ([batch, kv_len])."""

    def __init__(self, target: "Target", case: dict):
        self.case, self.target = case, target
        self.decoder = target.decoder(case)
        self.attention = getattr(self.decoder.layers[0], target.family.attention)
        for name in ("q_proj", "k_proj", "v_proj"):
            setattr(self.attention, name, Known())
        room = max(step.get("kv_len", 0) for step in case["steps"])
        self.cache = hf.EncoderDecoderCache(hf.DynamicCache(), target.keys_cache(self.decoder.config, room))
        self.real = np.zeros((case["problem"]["batch"], 0), bool)

    def attend(self, step: dict, q, k, v) -> np.ndarray:
        if step["kv_len"]:
            lens = step.get("lens") or [step["kv_len"]] * len(self.real)
            slots, lens = np.arange(step["kv_len"]), np.array(lens)[:, None]
            self.real = slots >= step["kv_len"] - lens if step.get("side") == "left" else slots < lens
            self.attention.k_proj.value, self.attention.v_proj.value = (torch.from_numpy(merge_heads(self.case, x)) for x in (k, v))
        self.attention.q_proj.value = torch.from_numpy(merge_heads(self.case, q))
        batch, q_len = self.attention.q_proj.value.shape[:2]
        hidden, seen = self.decoder.config.hidden_size, []
        output = getattr(self.attention, self.target.family.output)
        hook = output.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        try:
            self.decoder(inputs_embeds=torch.zeros(batch, q_len, hidden), cache=self.cache, use_cache=True,
                         encoder_hidden_states=torch.zeros(*self.real.shape, hidden),
                         encoder_attention_mask=torch.from_numpy(self.real.astype(np.int64)))
        finally:
            hook.remove()
        return split_heads(self.case, seen[0].reshape(batch, q_len, -1).numpy(), self.case["problem"]["num_heads"])

    def step(self, step: dict, q, k, v) -> dict:
        out = None
        if step["op"] == "reorder":
            self.cache.reorder_cache(torch.tensor(step["rows"]))
            self.real = self.real[step["rows"]]
        elif step["op"] == "reset":
            self.cache.reset()
            self.real = self.real[:, :0]
        else:
            out = self.attend(step, q, k, v)
        held = self.cache.cross_attention_cache.get_seq_length()
        return {"out": out, "lengths": [int(held) - int(n) for n in (~self.real).sum(1)]}


class Target:
    version = hf.__version__

    def __init__(self, family: str, implementation: str, fixed: bool = False):
        self.family, self.implementation, self.fixed = FAMILIES[family], implementation, fixed
        self.name = f"transformers-cross:{family}-{implementation}" + "-static" * fixed
        self.about = f"{self.family.decoder}, attn_implementation {implementation}, keys in a {'Static' if fixed else 'Dynamic'}Cache"
        # A StaticCache for the encoder's keys is as long as they are, so that other keys get another cache.
        steps = ("prefill", "append", "decode", "reorder", *([] if fixed else ["reset"]))
        self.capabilities = {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 48], "kv_len": [1, 64],
                      "head_dim": [2, 64, 2], "head_dim_v": [2, 64, 2], "steps": [1, 6]},
            "equal": [["head_dim", "head_dim_v"], *self.family.equal],
            "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "cache:cross", "ragged", "ragged_left", "data:large", "data:constant",
                         "data:one_hot", *self.family.features, *(f"step:{name}" for name in steps)],
            "requires": [["dtype:f32", "cache:cross"]], "precision": {"f32": {"exp_ulps": 4}}}

    def decoder(self, case: dict):
        family = self.family
        package = import_module(f"transformers.models.{family.module}")
        config = getattr(package, family.config)(vocab_size=8, pad_token_id=0, max_position_embeddings=512,
                                                 attn_implementation=self.implementation, **family.settings(case["problem"]))
        torch.manual_seed(0)
        module = import_module(f"transformers.models.{family.module}.modeling_{family.module}")
        return getattr(module, family.decoder)(config).eval()

    def keys_cache(self, config, room: int):
        return hf.StaticCache(config=config, max_cache_len=room) if self.fixed else hf.DynamicCache()

    @torch.inference_mode()
    def run(self, case: dict, tensors: dict) -> list[dict]:
        session = Session(self, case)
        return [session.step(step, *(tensors.get(f"{name}.{i}") for name in "qkv")) for i, step in enumerate(case["steps"])]


def targets() -> list:
    return [Target(name, implementation, fixed) for name, family in FAMILIES.items() for implementation in family.implementations
            for fixed in (False, True)]
