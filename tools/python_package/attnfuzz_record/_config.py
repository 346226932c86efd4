"""What a model's configuration demands of a call: the mask that follows from layer_types, sliding_window and
attention_chunk_size at the positions of the tokens, and the scale, softcap and sinks of the layer.

A token's position is its slot: how many tokens of its row (padding included) came before. It is read from what the
model was handed (its two-dimensional attention_mask, else cache_position or position_ids, else the cache's own count),
never from the mask that the model made, which is under test. Keys lie in the order of the tokens and end with the
newest, or are a buffer whose first slots are filled. Where the configuration and these do not say all, there is no
second Case, and the recording says why.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy as np

from attnfuzz_record._arrays import from_torch
from attnfuzz_record._call import Call, Numbers
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._where import Place

SHOWN = ("model_type", "num_hidden_layers", "layer_types", "sliding_window", "use_sliding_window", "max_window_layers",
         "sliding_window_pattern", "attention_chunk_size", "no_rope_layers", "attn_logit_softcapping",
         "query_pre_attn_scalar", "head_dim", "num_attention_heads", "num_key_value_heads", "rope_theta",
         "rope_scaling", "rope_parameters")
MASKS: tuple[str, ...] = ("attention_mask", "decoder_attention_mask")
ENCODER = ("decoder_input_ids", "encoder_outputs")
CACHES = ("past_key_values", "past_key_value", "cache")
KWARGS = ("model_kwargs", "kwargs")


def of_model(root: Any) -> dict[str, Any]:
    """The part of a model's configuration that concerns attention."""
    config: Any = getattr(root, "config", None)
    if not hasattr(config, "to_dict"):
        return {}
    settings = config.to_dict()
    settings = settings.get("text_config") or settings
    return {name: settings[name] for name in SHOWN if settings.get(name) is not None}


@dataclass(frozen=True)
class Local:
    """Which keys a layer sees beside causality: all, a window of so many tokens (its own counts), or a chunk."""

    window: Optional[int] = None
    chunk: Optional[int] = None


def declared(config: Any, name: str) -> Any:
    """A setting that the configuration's class knows; a file of settings may hold others, which mean nothing."""
    kind = type(config)
    known = any(name in vars(each) or name in vars(each).get("__annotations__", ()) for each in kind.__mro__)
    return getattr(config, name, None) if known or name in inspect.signature(kind.__init__).parameters else None


def local_attention(config: Any, layer: int, module: Any = None) -> Local:
    """By the documentation of the settings. layer_types, where it is there, says it alone."""
    window, chunk, types, first, pattern, rope = (declared(config, name) for name in (
        "sliding_window", "attention_chunk_size", "layer_types", "max_window_layers", "sliding_window_pattern",
        "no_rope_layers"))
    if declared(config, "use_sliding_window") is False:
        window = None
    if types is not None and layer < len(types):
        return by_type(types, types[layer], window, chunk)
    if chunk is not None:  # no_rope_layers: 1 for a layer with RoPE, which is the one with chunks
        return Local(chunk=chunk if (rope[layer] if rope else getattr(module, "use_rope", True)) else None)
    if window is None:
        return Local()
    if isinstance(pattern, str):  # L: local, G: global
        return Local(window if pattern[layer % len(pattern)] == "L" else None)
    if pattern is not None:
        return Local(window if (layer + 1) % pattern else None)
    if first is not None:
        return Local(window if layer >= first else None)
    if getattr(config, "model_type", "") == "gemma2":  # every other layer; its first releases have no setting for it
        return Local(window if layer % 2 == 0 else None)
    return Local(window)


def by_type(types: list[str], kind: str, window: Optional[int], chunk: Optional[int]) -> Local:
    if kind not in ("full_attention", "sliding_attention", "chunked_attention"):
        raise NotSaid(f"a layer of the type {kind}")
    if window is not None and not {"sliding_attention", "chunked_attention"} & set(types):
        raise NotSaid("a sliding_window beside layer_types that name no sliding layer")
    return Local(window if kind == "sliding_attention" else None, chunk if kind == "chunked_attention" else None)


def demanded(call: Call, at: Place) -> Optional[Call]:
    """The call as the layer's configuration has it; None for a module without one, or one that sees all keys."""
    module = at.module
    config = getattr(module, "config", None)
    if config is None or at.layer is None:
        return None
    if not getattr(module, "is_causal", True) or any(True for _ in at.local("key_value_states")):
        return None  # an encoder's, or over another sequence
    if any(True for _ in at.local("token_type_ids")):
        raise NotSaid("token_type_ids may open the mask")
    if call.bias is not None:
        raise NotSaid("a bias, which the configuration does not say")
    tokens = Tokens.of(call, at)
    held = min(call.sizes["kv_len"], tokens.total)
    local = local_attention(config, at.layer, module)
    asked = min(tokens.total, (local.window or local.chunk or tokens.total) - 1 + call.sizes["q_len"])
    if held < asked:
        raise NotSaid(f"layer {at.layer} is handed fewer tokens than its configuration asks for")
    result = replace(call, k=call.k.of(call.k.data[:, :, :held]), v=call.v.of(call.v.data[:, :, :held]), seen=None,
                     rules=[], align="bottom_right", fully_masked="any", outputs=call.outputs)
    result.rules = _rules(local, tokens, held)
    if not result.rules:
        result.rules, result.seen = [], tokens.seen(local, call.sizes["q_len"], held)
    cap, before = declared(config, "attn_logit_softcapping"), declared(config, "query_pre_attn_scalar")
    result.softcap = float(cap) if cap else call.softcap
    result.scale = before**-0.5 if before else call.scale
    if (sinks := getattr(module, "sinks", None)) is not None:
        result.sinks = from_torch(sinks)
    return result


@dataclass(frozen=True)
class Tokens:
    """The slots of a call's rows. total: tokens of each row until now, the new ones and padding included."""

    total: int
    real: Optional[Numbers]  # [batch, total], True: a token, not padding; None: all are

    @staticmethod
    def of(call: Call, at: Place) -> Tokens:
        batch, q_len = call.sizes["batch"], call.sizes["q_len"]
        positions = next((integers(each) for each in at.local("position_ids") if getattr(each, "ndim", 0) == 2), None)
        if positions is not None and (np.diff(positions, axis=1) < -1).any():  # padding may have the 1
            raise NotSaid("position_ids that start anew within a row")
        masks = [(integers(each) != 0, forward) for each, forward in given_masks(at) if each.ndim == 2]
        for mask, forward in masks:
            if forward and mask.shape[0] == batch and mask.shape[1] >= q_len:
                return Tokens(mask.shape[1], None if mask.all() else mask)
        prompt = next((mask for mask, forward in masks if not forward and batch % mask.shape[0] == 0), None)
        if prompt is None and any(True for _ in given_masks(at)):
            raise NotSaid("a mask from outside of the model, which hides how its rows are padded")
        padding = np.zeros(1, np.int64) if prompt is None else (~prompt.repeat(batch // prompt.shape[0], axis=0)).sum(1)
        cache: Any = next(at.local(*CACHES), None)
        if (cached := next(at.local("cache_position"), None)) is not None:
            total = int(cached[-1]) + 1
        elif positions is not None and len(set(ends := (positions.max(1) + 1 + padding).tolist())) == 1:
            total = int(ends[0])
        elif q_len == call.sizes["kv_len"]:
            total = q_len
        elif hasattr(cache, "get_seq_length"):
            total = int(cache.get_seq_length(at.layer))
        else:
            raise NotSaid("nothing says at which positions the tokens are")
        if not padding.any() or prompt is None:
            return Tokens(total, None)
        real = np.ones((batch, total), bool)  # what is generated after the prompt is real
        real[:, :prompt.shape[1]] = prompt.repeat(batch // prompt.shape[0], axis=0)
        return Tokens(total, real)

    def first_real(self) -> Optional[Numbers]:
        """Each row's first token, if all padding lies in front; else None."""
        if self.real is None:
            return None
        first = self.real.argmax(axis=1)
        return first if (self.real == (np.arange(self.total) >= first[:, None])).all() else None

    def seen(self, local: Local, q_len: int, held: int) -> Numbers:
        """[batch or 1, 1, q_len, held]: the mask, key by key."""
        key = np.arange(self.total - held, self.total)[None, :]
        query = np.arange(self.total - q_len, self.total)[:, None]
        mask = (key <= query)[None]
        if local.window is not None:
            mask = mask & (key > query - local.window)
        if local.chunk is not None:
            origin = self._origin()[:, None, None]
            mask = mask & ((key - origin) // local.chunk == (query - origin) // local.chunk)
        if self.real is not None:
            mask = mask & self.real[:, None, self.total - held:]
        return mask[:, None]

    def _origin(self) -> Numbers:
        """Where chunks are counted from: slot 0, from Transformers 4.56 on each row's first token."""
        if self.real is None or not counts_from_tokens():
            return np.zeros(1, np.int64)
        first = self.first_real()
        if first is None:
            raise NotSaid("padding inside of a row with chunks")
        return first


def counts_from_tokens() -> bool:
    version = getattr(sys.modules.get("transformers"), "__version__", "0.0")
    return tuple(int(n) for n in version.split(".")[:2]) >= (4, 56)


def integers(tensor: Any) -> Numbers:
    return np.asarray(tensor.detach().cpu().numpy())


def given_masks(at: Place) -> Iterator[tuple[Any, bool]]:
    """The masks that the model was handed, innermost first, and whether a forward() was handed it (else generate(): the
    prompt's, or the tokens' until now).

    What lies inside of the model's outermost forward() may be the mask that the model made, of four axes. Where there
    is an encoder too, attention_mask is the encoder's outside of the decoder.
    """
    outside, names = False, MASKS
    for frame in at.frames:
        variables = frame.f_locals
        outside = outside or variables.get("self") is at.root
        handed = [variables, *(each for name in KWARGS if isinstance(each := variables.get(name), dict))]
        if any(name in each for each in handed for name in ENCODER):
            names = MASKS[1:]
        for mask in (each[name] for each in handed for name in names if getattr(each.get(name), "ndim", 0)):
            if mask.ndim == 2 or outside:
                yield mask, frame.f_code.co_name == "forward"


def _rules(local: Local, tokens: Tokens, held: int) -> list[dict[str, Any]]:
    """The mask as rules, so that a wrong one can be named; empty where only the dense mask says it."""
    rules: list[dict[str, Any]] = [{"rule": "causal"}]
    first = tokens.first_real()
    if tokens.real is not None and first is None:
        return []
    start = tokens.total - held  # the slot of the first key
    if local.window is not None:
        rules.append({"rule": "window", "left": local.window - 1, "right": 0})
    if local.chunk is not None:
        by_token = first is not None and counts_from_tokens()
        if by_token and start or not by_token and start % local.chunk:
            return []
        rules.append({"rule": "chunk", "size": local.chunk, "origin": "token" if by_token else "slot"})
    if first is not None and (first > start).any():
        lens = np.minimum(tokens.total - first, held)
        rules.append({"rule": "padding", "side": "left", "lens": [int(n) for n in lens]})
    return rules
