"""Layers of PyTorch that project their inputs: made to pass on what they get, so that what remains is the attention."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any


def _modules(fn: Any, kind: str) -> list[Any]:
    """The layers of a kind of torch.nn in a layer; empty for what is no layer of PyTorch."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(fn, torch.nn.Module):
        return []
    return [each for each in fn.modules() if isinstance(each, getattr(torch.nn, kind))]


def projects(fn: Any) -> bool:
    """Whether a callable is a layer with projections, whose weights are of no concern to a test of attention."""
    return bool(_modules(fn, "Linear") or _modules(fn, "MultiheadAttention"))


def identity(fn: Any) -> Any:
    """A copy of a layer in which each projection passes on its input, cut or filled with zeros where widths differ."""
    torch: Any = sys.modules["torch"]
    layer = copy.deepcopy(fn).eval()
    with torch.no_grad():
        for each in _modules(layer, "Linear"):
            _pass_on(torch, each.weight, 1)
            if each.bias is not None:
                each.bias.zero_()
        for each in _modules(layer, "MultiheadAttention"):
            for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
                if getattr(each, name, None) is not None:
                    _pass_on(torch, getattr(each, name), 3 if name == "in_proj_weight" else 1)
            if each.in_proj_bias is not None:
                each.in_proj_bias.zero_()
    return layer


def _pass_on(torch: Any, weight: Any, parts: int) -> None:
    rows = weight.shape[0] // parts
    weight.copy_(torch.eye(rows, weight.shape[1]).repeat(parts, 1))


def widths(fn: Any) -> Iterator[tuple[int, int]]:
    """(num_heads, head_dim) that a layer may have: a number among its attributes that divides its width."""
    linear = _modules(fn, "Linear")
    width = linear[0].in_features if linear else _modules(fn, "MultiheadAttention")[0].embed_dim
    numbers = [n for each in fn.modules() for n in vars(each).values() if type(n) is int and 1 < n < width]
    for heads in dict.fromkeys([*(n for n in numbers if width % n == 0), 1]):
        yield heads, width // heads
