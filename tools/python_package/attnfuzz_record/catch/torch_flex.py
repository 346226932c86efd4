"""torch.nn.attention.flex_attention.flex_attention. The mask_mod of its block mask is asked key by key; a score_mod is
asked with a few scores, and is kept if what it does is a softcap, a bias, or both.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from attnfuzz_record._arrays import from_torch
from attnfuzz_record._call import Call
from attnfuzz_record._imports import Replaced
from attnfuzz_record._recorder import Caught, Recorder
from attnfuzz_record._score_mod import add_score_mod
from attnfuzz_record._torch import plain, precision

NAME = "torch.nn.attention.flex_attention.flex_attention"


def dense(modify: Any, scores: Any, sizes: tuple[int, ...], device: Any) -> Any:
    """A mask_mod (scores None) or score_mod for each (batch, head, q, k): [batch, num_heads, q_len, kv_len]."""
    import torch

    call = modify if scores is not None else lambda score, b, h, i, j: modify(b, h, i, j)
    for axis in (3, 2, 1, 0):
        call = torch.vmap(call, in_dims=(0, *(0 if n == axis else None for n in range(4))))
    indices = (torch.arange(size, device=device) for size in sizes)
    return call(torch.full(sizes, 0.0 if scores is None else scores, device=device), *indices)


def describe_with(parameters: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    given = parameters.bind(*args, **kwargs)
    given.apply_defaults()
    values = given.arguments
    q, k, v = plain(values["query"], values["key"], values["value"])
    if k.shape[0] == 1 != q.shape[0]:
        k, v = (x.expand(q.shape[0], *x.shape[1:]) for x in (k, v))
    call = Call(NAME, from_torch(q), from_torch(k), from_torch(v), scale=values["scale"], fully_masked="zero",
                precision=precision(q), options={"enable_gqa": values["enable_gqa"], "scale": values["scale"]})
    sizes = (*q.shape[:3], k.shape[2])
    if (block := values["block_mask"]) is not None:
        call.add_mask(from_torch(dense(block.mask_mod, None, sizes, q.device)).data)
    if values["score_mod"] is not None:
        add_score_mod(call, lambda score: from_torch(dense(values["score_mod"], score, sizes, q.device)).wide())
    return call


def results(call: Call, result: Any) -> None:
    out, more = result if isinstance(result, tuple) else (result, None)
    call.outputs["out"] = from_torch(out)
    lse = getattr(more, "lse", more)
    if hasattr(lse, "dtype"):
        call.outputs["lse"] = from_torch(lse)


def install(module: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    original = module.flex_attention
    parameters = inspect.signature(original)

    def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return describe_with(parameters, args, kwargs)

    replaced.everywhere(original, recorder.wrap(original, Caught(NAME, describe, results)))


WATCHES = {"torch.nn.attention.flex_attention": install}
