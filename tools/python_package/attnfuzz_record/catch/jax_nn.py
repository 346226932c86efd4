"""jax.nn.dot_product_attention, where its arrays have values: inside of jax.jit there are none (`jax.disable_jit()`
runs the same code with them).

q, k and v lie as [batch, len, heads, dim] or [len, heads, dim]; is_causal is aligned to the upper left; a window's own
token does not count; mask is boolean, bias is added to the scaled score.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from attnfuzz_record._arrays import Array, from_numpy
from attnfuzz_record._call import Call
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._imports import Replaced
from attnfuzz_record._recorder import Caught, Recorder

NAME = "jax.nn.dot_product_attention"


def array(value: Any) -> Array:
    if "Tracer" in type(value).__name__:
        raise NotSaid("inside of a traced function (jax.jit, vmap, grad), where arrays have no values")
    return from_numpy(value)


def by_heads(value: Any) -> Array:
    found = array(value)
    return (found if len(found.shape) == 4 else found.of(found.data[None])).swapped()


def describe_with(parameters: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    given = parameters.bind(*args, **kwargs)
    given.apply_defaults()
    values = given.arguments
    if values.get("query_seq_lengths") is not None:
        raise NotSaid("query_seq_lengths, beyond which the output is open")
    call = Call(NAME, by_heads(values["query"]), by_heads(values["key"]), by_heads(values["value"]), layout="bshd",
                align="top_left", scale=values.get("scale"), options={"is_causal": values.get("is_causal", False)})
    if values.get("is_causal"):
        call.rules.append({"rule": "causal"})
    if (window := values.get("local_window_size")) is not None:
        if call.sizes["q_len"] != call.sizes["kv_len"]:
            raise NotSaid("local_window_size where q_len is not kv_len: its alignment there is not written down")
        left, right = window if isinstance(window, tuple) else (window, window)
        call.rules.append({"rule": "window", "left": int(left), "right": int(right)})
    if (lens := values.get("key_value_seq_lengths")) is not None:
        call.rules.append({"rule": "padding", "side": "right", "lens": [int(n) for n in array(lens).data.reshape(-1)]})
    if values.get("bias") is not None:
        call.add_additive(array(values["bias"]))
    if values.get("mask") is not None:
        call.add_mask(array(values["mask"]).data)
    return call


def results(call: Call, result: Any) -> None:
    call.outputs["out"] = by_heads(result[0] if isinstance(result, tuple) else result)


def install(module: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    original = module.dot_product_attention
    parameters = inspect.signature(original)

    def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return describe_with(parameters, args, kwargs)

    replaced.everywhere(original, recorder.wrap(original, Caught(NAME, describe, results)))


WATCHES = {"jax.nn": install}
