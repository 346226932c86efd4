"""A caught call in the words of a Case, and the Case itself with the tensors beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from attnfuzz_record._arrays import Array, encode
from attnfuzz_record._errors import NotSaid

Numbers = np.ndarray[Any, Any]
LOWEST = {"f64": float(np.finfo(np.float64).min), "f32": float(np.finfo(np.float32).min),
          "f16": float(np.finfo(np.float16).min), "bf16": -3.3895313892515355e38}
"""Masks that are added hold this number, or −inf, where a key is hidden."""
SCALES, SOFTCAPS = (1e-4, 3e4), (1e-3, 3e4)
"""Sizes of a scale and a softcap that a Case may have (oracle/case.h)."""


@dataclass
class Call:
    """What one call asked for. q, k, v and out lie as [batch, heads, len, dim], whatever the package's layout is."""

    function: str
    q: Array
    k: Array
    v: Array
    rules: list[dict[str, Any]] = field(default_factory=list)
    align: str = "bottom_right"
    seen: Optional[Numbers] = None  # a mask, [batch or 1, heads or 1, q_len, kv_len], True: the key is seen
    bias: Optional[Numbers] = None  # float64, added to the scores, the same shape; its own broadcast
    sinks: Optional[Array] = None
    scale: Optional[float] = None
    softcap: float = 0.0
    bias_order: str = "after_softcap"
    fully_masked: str = "any"
    head_map: str = "grouped"
    layout: str = "bhsd"  # how the package has it
    precision: Optional[dict[str, Any]] = None
    options: dict[str, Any] = field(default_factory=dict)  # as passed, to be shown
    outputs: dict[str, Array] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        batch, heads, q_len, dim = self.q.shape
        return {"batch": batch, "num_heads": heads, "num_kv_heads": self.k.shape[1], "q_len": q_len,
                "kv_len": self.k.shape[2], "head_dim": dim, "head_dim_v": self.v.shape[3]}

    def add_mask(self, mask: Numbers) -> None:
        """A boolean mask of any shape that broadcasts to [batch, num_heads, q_len, kv_len]."""
        mask = self._four_axes(mask)
        self.seen = mask if self.seen is None else self.seen & mask

    def add_additive(self, mask: Array, hidden: str = "any") -> None:
        """A mask that is added to the scores: hidden keys become a mask, all other numbers a bias.

        hidden: what a row without keys gives if all that hides is −inf. A finite number that hides leaves such a row
        open.
        """
        numbers = self._four_axes(mask.wide())
        if np.isnan(numbers).any() or np.isposinf(numbers).any():
            raise NotSaid("a mask or bias with NaN or +inf")
        seen = numbers > LOWEST[mask.dtype] / 2
        self.fully_masked = hidden if np.isneginf(numbers[~seen]).all() else "any"
        if not seen.all():
            self.add_mask(seen)
        finite = np.where(seen, numbers, 0)
        if finite.any():
            self.bias = finite if self.bias is None else self.bias + finite

    def _four_axes(self, mask: Numbers) -> Numbers:
        if mask.ndim > 4:
            raise NotSaid(f"a mask with {mask.ndim} axes")
        mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
        sizes = self.sizes
        whole = (sizes["batch"], sizes["num_heads"], sizes["q_len"], sizes["kv_len"])
        if any(have not in (1, want) for have, want in zip(mask.shape, whole)):
            raise NotSaid(f"a mask of shape {list(mask.shape)} for [batch, num_heads, q_len, kv_len] = {list(whole)}")
        return np.broadcast_to(mask, mask.shape[:2] + whole[2:])


def axes_word(tensor: Numbers) -> str:
    """Which axes a mask or bias has: qk, bqk, hqk or bhqk."""
    batch, heads = tensor.shape[:2]
    return ("b" if batch > 1 else "") + ("h" if heads > 1 else "") + "qk"


def check_sizes(call: Call) -> None:
    """Raises NotSaid for shapes and numbers that the format has not."""
    sizes, shapes = call.sizes, [list(each.shape) for each in (call.q, call.k, call.v)]
    kv = [sizes["batch"], sizes["num_kv_heads"], sizes["kv_len"]]
    if [*kv, sizes["head_dim"]] != shapes[1] or [*kv, sizes["head_dim_v"]] != shapes[2]:
        raise NotSaid(f"q, k and v of the shapes {shapes[0]}, {shapes[1]}, {shapes[2]}, which do not fit each other")
    if 0 in shapes[0] + shapes[1] + shapes[2] or sizes["num_heads"] % sizes["num_kv_heads"]:
        raise NotSaid(f"{sizes['num_heads']} heads with {sizes['num_kv_heads']} KV heads, or a size of 0")
    for word, number, (low, high) in (("scale", call.scale, SCALES), ("softcap", call.softcap, SOFTCAPS)):
        if number and not low <= abs(number) <= high:
            raise NotSaid(f"a {word} of {number:g}, beyond {low:g} to {high:g}")


def to_case(call: Call, name: str, about: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The Case whose tensors lie in the file `name`, and these tensors. Raises NotSaid."""
    check_sizes(call)
    dtype = call.q.dtype
    if not call.k.dtype == call.v.dtype == dtype:
        raise NotSaid(f"q of {dtype} with k of {call.k.dtype} and v of {call.v.dtype}")
    if dtype in ("bool", "i32", "i64"):
        raise NotSaid(f"q of the type {dtype}")
    tensors = {"q": call.q, "k": call.k, "v": call.v}
    if call.layout == "bshd":
        tensors = {key: array.swapped() for key, array in tensors.items()}
    rules = list(call.rules)
    if call.seen is not None and not call.seen.all():
        rules.append({"rule": "boolean", "shape": axes_word(call.seen), "keep": 50})
        tensors["mask"] = Array(call.seen, "bool")
    if call.bias is not None:
        rules.append({"rule": "bias", "shape": axes_word(call.bias)})
        tensors["bias"] = encode(call.bias, dtype)
    if call.sinks is not None:
        tensors["sinks"] = call.sinks if call.sinks.dtype == dtype else encode(call.sinks.wide(), dtype)
    problem: dict[str, Any] = {
        **call.sizes, "dtype": dtype, "layout": call.layout, "scale": call.scale, "softcap": call.softcap,
        "sinks": call.sinks is not None, "memory_kv": 0, "head_map": call.head_map, "bias_order": call.bias_order,
        "fully_masked": call.fully_masked, "mask": {"align": call.align, "rules": rules}}
    if len(call.outputs) > 1:
        problem["outputs"] = list(call.outputs)
    case = {"attnfuzz": 1, "about": about, "problem": problem, "data": {"given": name}}
    return {key: value for key, value in case.items() if value != ""}, tensors
