"""The attention functions of Hugging Face Transformers: all that are registered in its AttentionInterface, and the
eager_attention_forward of each model's file. They are called as f(module, query, key, value, attention_mask, …); q, k
and v lie as [batch, heads, len, dim], the output as [batch, len, heads, dim].

What is asked, by the documentation of each: the mask is added (eager), boolean or added (sdpa), a BlockMask
(flex_attention), or which tokens are real (flash_attention_*). Without one, eager sees all keys; sdpa is causal,
aligned to the upper left, if there are several queries and the layer is causal. sliding_window asks something of
flash_attention_* alone: the other functions get it too, and leave it to the mask, which the second Case, by the
configuration, is for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from attnfuzz_record._arrays import from_torch
from attnfuzz_record._call import Call
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._imports import Replaced
from attnfuzz_record._recorder import Caught, Recorder
from attnfuzz_record._torch import plain, precision
from attnfuzz_record.catch.torch_flex import dense

ORDER = ("module", "query", "key", "value", "attention_mask")
SHOWN = ("scaling", "dropout", "is_causal", "sliding_window", "softcap")
PACKED = ("cu_seq_lens_q", "cu_seqlens_q", "block_table")


def named(parameters: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name; the first five by ORDER, whatever a function that somebody registered calls them."""
    given = parameters.bind_partial(*args, **kwargs).arguments
    own = dict(zip(parameters.parameters, ORDER))
    values = {own.get(name, name): value for name, value in given.items()}
    for name, parameter in parameters.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            values |= values.pop(name, {})
    return values


def describe(name: str, parameters: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    values = named(parameters, args, kwargs)
    module, mask = values["module"], values.get("attention_mask")
    q, k, v = plain(values["query"], values["key"], values["value"])
    if values.get("dropout"):
        raise NotSaid("dropout: which weights were dropped is not known")
    if any(values.get(each) is not None for each in PACKED):
        raise NotSaid("packed sequences or a paged cache")
    call = Call(f"transformers {name}", from_torch(q), from_torch(k), from_torch(v), scale=values.get("scaling"),
                precision=None if "eager" in name else precision(q), softcap=float(values.get("softcap") or 0),
                options={each: values[each] for each in SHOWN if isinstance(values.get(each), (int, float, bool))})
    if (sinks := values.get("s_aux")) is not None:
        call.sinks = from_torch(plain(sinks)[0])
    if (bias := values.get("position_bias")) is not None:
        call.add_additive(from_torch(plain(bias)[0]))
    if mask is not None:
        add_mask(call, name, mask, (*q.shape[:3], k.shape[2]))
    causal = values.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else bool(causal)
    if "flash" in name:
        add_flash(call, causal, values.get("sliding_window"))
    elif "eager" not in name and mask is None and causal and q.shape[2] > 1:
        call.align = "top_left"
        call.rules.append({"rule": "causal"})
    return call


def add_mask(call: Call, name: str, mask: Any, sizes: tuple[int, ...]) -> None:
    if hasattr(mask, "mask_mod"):
        call.add_mask(from_torch(dense(mask.mask_mod, None, sizes, call_device(mask))).data)
        return
    if "flash" in name:  # [batch, tokens], 1: a real one
        real = mask.detach().cpu().numpy()[:, -sizes[3]:] != 0
        call.add_mask(real[:, None, None])
        return
    array = from_torch(plain(mask)[0])
    if len(array.shape) == 4:
        array = array.of(array.data[..., :sizes[3]])
    if array.dtype == "bool":
        call.add_mask(array.data)
    else:
        call.add_additive(array)


def call_device(mask: Any) -> Any:
    return mask.kv_num_blocks.device


def add_flash(call: Call, causal: bool, window: Any) -> None:
    if causal and call.sizes["q_len"] > 1:
        call.rules.append({"rule": "causal"})
    if window is not None and call.sizes["kv_len"] > window:
        call.rules.append({"rule": "window", "left": int(window) - 1, "right": 0 if causal else int(window) - 1})


def results(call: Call, result: Any) -> None:
    call.outputs["out"] = from_torch(result[0].transpose(1, 2))


def wrapped(name: str, original: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    parameters = inspect.signature(original)
    return recorder.wrap(original, Caught(
        f"transformers {name}", lambda args, kwargs: describe(name, parameters, args, kwargs), results,
        module=lambda args, kwargs: args[0] if args else kwargs.get("module")))


def install_interface(module: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    """The functions that are registered now, and those that will be."""
    functions = getattr(module, "ALL_ATTENTION_FUNCTIONS", None)
    if functions is None:  # before 4.48 each model has its own classes, which call PyTorch's function
        return
    mapping = getattr(functions, "_global_mapping", functions)
    for name, original in list(mapping.items()):
        replaced.item(mapping, name, wrapped(name, original, recorder))
    kind = type(functions)
    if hasattr(kind, "register"):
        register = kind.register

        def registers(cls: Any, key: str, value: Callable[..., Any]) -> None:
            register(key, wrapped(key, value, recorder))

        replaced.attribute(kind, "register", classmethod(registers))


def install_model(module: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    """A model's own functions: eager attention, and what it puts in place of a registered one."""
    for name, original in list(vars(module).items()):
        if name.endswith("eager_attention_forward") and callable(original):
            replaced.attribute(module, name, wrapped(name.removesuffix("_attention_forward"), original, recorder))
    own = getattr(vars(module).get("ALL_ATTENTION_FUNCTIONS"), "_local_mapping", {})
    for name, original in list(own.items()):
        replaced.item(own, name, wrapped(name, original, recorder))


WATCHES = {"transformers.modeling_utils": install_interface, "transformers.models.*.modeling_*": install_model}
