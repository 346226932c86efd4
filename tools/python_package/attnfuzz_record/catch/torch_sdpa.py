"""torch.nn.functional.scaled_dot_product_attention. Its docstring says what is asked: is_causal is aligned to the upper
left, attn_mask is boolean (True: seen) or added, and a row without keys gives zeros (from PyTorch 2.5 on).
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any, Optional

from attnfuzz_record._arrays import Array, from_torch
from attnfuzz_record._call import Call
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._imports import Replaced
from attnfuzz_record._recorder import Caught, Recorder
from attnfuzz_record._torch import plain, precision, safe_rows

NAME = "torch.nn.functional.scaled_dot_product_attention"


def parameters(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
               scale: Optional[float] = None, enable_gqa: bool = False) -> None:
    """The function's parameters, which a function built in C does not tell."""


PARAMETERS = inspect.signature(parameters)


def four_axes(tensor: Any, leading: tuple[int, ...]) -> Any:
    """[…, len, dim] as [batch, heads, len, dim]: what lies before the heads counts as batch."""
    if tensor.ndim < 2:
        raise NotSaid(f"tensors with {tensor.ndim} axes")
    if tensor.ndim == 4:
        return tensor.expand(leading[0], *tensor.shape[1:]) if tensor.shape[0] == 1 else tensor
    whole = tensor.expand(*leading, *tensor.shape[-2:])
    if tensor.ndim <= 3:
        return whole.reshape(-1, 1, *tensor.shape[-2:])
    return whole.reshape(-1, *whole.shape[-3:])


def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    given = PARAMETERS.bind(*args, **kwargs)
    given.apply_defaults()
    values = given.arguments
    q, k, v = plain(values["query"], values["key"], values["value"])
    if values["dropout_p"]:
        raise NotSaid("dropout: which weights were dropped is not known")
    leading = tuple(q.shape[:-2])
    arrays = [from_torch(four_axes(x, leading)) for x in (q, k, v)]
    call = Call(NAME, arrays[0], arrays[1], arrays[2], scale=values["scale"], align="top_left", precision=precision(q),
                fully_masked=safe_rows(),
                options={name: values[name] for name in ("dropout_p", "is_causal", "scale", "enable_gqa")})
    if values["is_causal"]:
        call.rules.append({"rule": "causal"})
    if (mask := values["attn_mask"]) is not None:
        call.options["attn_mask"] = [str(mask.dtype), *mask.shape]
        add_mask(call, from_torch(plain(mask)[0]), len(leading), safe_rows())
    return call


def add_mask(call: Call, mask: Array, leading: int, hidden: str) -> None:
    """A mask that broadcasts to [*leading axes of q, q_len, kv_len]."""
    if leading == 1 and len(mask.shape) == 3:  # [batch, q_len, kv_len]
        mask = mask.of(mask.data[:, None])
    elif leading > 2 and len(mask.shape) > 2:
        raise NotSaid(f"a mask of {len(mask.shape)} axes with q of {leading + 2}")
    if mask.dtype == "bool":
        call.add_mask(mask.data)
    else:
        call.add_additive(mask, hidden)


def results(call: Call, result: Any) -> None:
    call.outputs["out"] = from_torch(result.reshape(call.q.shape[:3] + (result.shape[-1],)))


def install(torch: ModuleType, recorder: Recorder, replaced: Replaced) -> None:
    original = torch.nn.functional.scaled_dot_product_attention
    caught = recorder.wrap(original, Caught(NAME, describe, results))
    register = getattr(torch.jit._builtins, "_register_builtin", None)
    if register is not None:  # so that torch.jit.script still finds the operator behind the name
        register(caught, "aten::scaled_dot_product_attention")
    replaced.everywhere(original, caught)


WATCHES = {"torch": install}
