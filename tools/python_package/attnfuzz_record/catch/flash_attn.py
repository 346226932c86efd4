"""flash-attn's flash_attn_func and flash_attn_varlen_func (of flash_attn, and of flash_attn_interface, version 3).

By its README: q, k and v lie as [batch, len, heads, dim], packed ones as [tokens, heads, dim] with cu_seqlens; causal
and window_size are aligned to the lower right, −1 is a side without a bound; a row without keys gives zeros.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from attnfuzz_record._arrays import from_torch
from attnfuzz_record._call import Call, Numbers
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._imports import Replaced
from attnfuzz_record._recorder import Caught, Recorder
from attnfuzz_record._torch import plain, precision

UNBOUNDED = 2147483647
NAMES = ("flash_attn_func", "flash_attn_varlen_func")
SHOWN = ("causal", "window_size", "softmax_scale", "softcap")
UNSAID = ("alibi_slopes", "block_table", "qv", "q_descale", "k_descale", "v_descale", "learnable_sink")


def describe(name: str, parameters: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    given = parameters.bind(*args, **kwargs)
    given.apply_defaults()
    values = given.arguments
    if values.get("dropout_p"):
        raise NotSaid("dropout: which weights were dropped is not known")
    if unsaid := [each for each in UNSAID if values.get(each) is not None]:
        raise NotSaid(f"the option {unsaid[0]}")
    tensors = plain(values["q"], values["k"], values["v"])
    packed = "varlen" in name
    q, k, v = (from_torch(each[None] if packed else each).swapped() for each in tensors)
    call = Call(f"flash_attn.{name}", q, k, v, layout="bshd", fully_masked="zero", precision=precision(tensors[0]),
                scale=values.get("softmax_scale"), softcap=float(values.get("softcap") or 0),
                options={each: values[each] for each in SHOWN if each in values})
    left, right = values.get("window_size") or (-1, -1)
    rules: list[dict[str, Any]] = [{"rule": "causal"}] if values.get("causal") else []
    if left >= 0 or right >= 0:
        rules.append({"rule": "window", "left": left if left >= 0 else UNBOUNDED,
                      "right": 0 if values.get("causal") else right if right >= 0 else UNBOUNDED})
    call.rules = rules
    if packed:
        add_packed(call, *(values[each].cpu().numpy() for each in ("cu_seqlens_q", "cu_seqlens_k")))
    return call


def add_packed(call: Call, ends_q: Numbers, ends_k: Numbers) -> None:
    """Packed sequences: "documents" where queries and keys are the same tokens."""
    q_lens, kv_lens = ([int(n) for n in np.diff(ends)] for ends in (ends_q, ends_k))
    if q_lens == kv_lens:
        call.rules.append({"rule": "documents", "lens": [n for n in q_lens if n]})
    else:
        call.rules.append({"rule": "packed", "q_lens": q_lens, "kv_lens": kv_lens})


def results(call: Call, result: Any) -> None:
    out = result[0] if isinstance(result, tuple) else result
    call.outputs["out"] = from_torch(out if out.ndim == 4 else out[None]).swapped()
    if isinstance(result, tuple) and len(result) > 1 and result[1].ndim == 3:
        call.outputs["lse"] = from_torch(result[1])


def install(module: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(original)
        return recorder.wrap(original, Caught(
            f"flash_attn.{name}", lambda args, kwargs: describe(name, parameters, args, kwargs), results))

    for name in NAMES:
        if (original := getattr(module, name, None)) is not None:
            replaced.everywhere(original, wrapped(name, original))


WATCHES = {"flash_attn": install, "flash_attn_interface": install}
