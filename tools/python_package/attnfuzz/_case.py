"""A case: all that is needed to rerun one test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Union

from attnfuzz import _arrays, _claims, _core, _gradients
from attnfuzz._types import Array, Step

CaseLike = Union["Case", "dict[str, Any]", str, Path]
"""A case, its dict, its JSON text, or the path of a case file."""


class Case:
    """One attention problem with its data's seed, and for caches its steps. Immutable; made from JSON.

    Shapes (layout bhsd): q [batch, num_heads, q_len, head_dim], k [batch, num_kv_heads, kv_len, head_dim],
    v [batch, num_kv_heads, kv_len, head_dim_v], out [batch, num_heads, q_len, head_dim_v].
    Raises InputError for what is no case, with the place in the file.
    """

    __slots__ = ("json",)
    json: str
    """The canonical text, as case files have it."""

    def __init__(self, source: CaseLike) -> None:
        name = "case"
        if isinstance(source, Case):
            text = source.json
        elif isinstance(source, dict):
            text = json.dumps(source)
        elif isinstance(source, str) and source.lstrip().startswith("{"):
            text = source
        else:
            try:
                name, text = str(source), Path(source).read_text()
            except OSError as e:
                raise _core.InputError(f"{source}: expected a case file: {e.strerror}") from None
            except UnicodeDecodeError:
                raise _core.InputError(f"{source}: expected a case file: it is not UTF-8") from None
        # Given tensors in a file of their own lie beside the case's file; the canonical text has them in it.
        object.__setattr__(self, "json", _core.canonical(text, name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a case can't be changed")

    @property
    def data(self) -> dict[str, Any]:
        """The case as a dict (corpus/case.schema.json)."""
        return json.loads(self.json)  # type: ignore[no-any-return]

    @property
    def problem(self) -> dict[str, Any]:
        """Sizes, dtype, mask and options."""
        return self.data["problem"]  # type: ignore[no-any-return]

    @property
    def features(self) -> list[str]:
        """The words for what it uses: "gqa", "rule:causal" …"""
        return _core.features(self.json)

    def describe(self) -> str:
        """The case in a few lines of words."""
        return _core.describe(self.json)

    def mask_drawing(self, b: int = 0, h: int = 0) -> str:
        """The mask of batch row b and head h: a line for each query, a column for each key."""
        return _core.draw_mask(self.json, b, h)

    def inputs(self, arrays: str | ModuleType = "numpy") -> dict[str, Any]:
        """The tensors by name, "q", "k", "v" and what else the case has, in its layout and dtype; mask is boolean."""
        give, dtype = _arrays.giver(arrays), self.problem["dtype"]
        return {
            name: give(raw.astype(bool), "bool") if name == "mask" else give(raw, dtype)
            for name, raw in _core.inputs(self.json).items()
        }

    def expected(self) -> list[Array | None]:
        """The oracle's answer for each step (one without a cache), float64 in the case's layout; None: no tokens."""
        steps = _core.answer(self.json, _claims.for_judging(self.problem["dtype"], None))
        return [None if step is None else step[0] for step in steps]

    def check(self, *outputs: Any, precision: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Raises AssertionError unless the outputs (one for each step; one without a cache) are right.

        Where the case asks for more than out, each is (out, lse, dq, dk, dv …) as far as they are asked for, or a dict.
        `precision` tells how they were computed, as in Claims.
        """
        claims = _claims.for_judging(self.problem["dtype"], precision)
        if words := _core.judge(self.json, claims, [self._step(returned) for returned in outputs]):
            raise AssertionError(f"{words}\nof {self}")

    def _step(self, returned: Any) -> Step:
        outputs = {name: _arrays.take(array)
                   for name, array in _gradients.named(returned, self.problem.get("outputs") or ["out"]).items()}
        return (*outputs.pop("out"), [], [], None, outputs)

    def save(self, file: str | Path) -> None:
        Path(file).write_text(self.json)

    def __str__(self) -> str:
        return _core.one_line(self.json)

    def __repr__(self) -> str:
        return f"<attnfuzz.Case {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and other.json == self.json

    def __hash__(self) -> int:
        return hash(self.json)
