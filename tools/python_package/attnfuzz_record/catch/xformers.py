"""xformers.ops.memory_efficient_attention. q, k and v lie as [batch, len, heads, dim] (or [batch, len, dim]); attn_bias
is added, and an object of xformers says itself what is added (materialize).
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from attnfuzz_record._arrays import Array, from_torch
from attnfuzz_record._call import Call
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._imports import Replaced
from attnfuzz_record._recorder import Caught, Recorder
from attnfuzz_record._torch import plain, precision

NAME = "xformers.ops.memory_efficient_attention"


def by_heads(tensor: Any) -> Array:
    if tensor.ndim not in (3, 4):
        raise NotSaid(f"tensors with {tensor.ndim} axes")
    return from_torch(tensor if tensor.ndim == 4 else tensor[:, :, None]).swapped()


def describe_with(parameters: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    given = parameters.bind(*args, **kwargs)
    given.apply_defaults()
    values = given.arguments
    if values.get("p"):
        raise NotSaid("dropout: which weights were dropped is not known")
    tensors = plain(values["query"], values["key"], values["value"])
    q, k, v = map(by_heads, tensors)
    call = Call(NAME, q, k, v, layout="bshd", scale=values.get("scale"), precision=precision(tensors[0]))
    bias: Any = values.get("attn_bias")
    if hasattr(bias, "materialize"):
        sizes = call.sizes
        shape = tuple(sizes[name] for name in ("batch", "num_heads", "q_len", "kv_len"))
        bias = bias.materialize(shape, device=tensors[0].device)
    if bias is not None:
        array = from_torch(plain(bias)[0])
        call.add_additive(array if len(array.shape) == 4 else array.of(array.data[:, None]))
    return call


def results(call: Call, result: Any) -> None:
    call.outputs["out"] = by_heads(result)


def install(module: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    original = module.memory_efficient_attention
    parameters = inspect.signature(original)

    def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return describe_with(parameters, args, kwargs)

    replaced.everywhere(original, recorder.wrap(original, Caught(NAME, describe, results)))


WATCHES = {"xformers.ops": install}
