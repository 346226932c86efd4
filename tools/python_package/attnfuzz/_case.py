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
    """One attention problem with the seed of its data, and for caches its steps. Immutable.

    Shapes with layout bhsd: q `[batch, num_heads, q_len, head_dim]`, k `[batch, num_kv_heads, kv_len, head_dim]`,
    v `[batch, num_kv_heads, kv_len, head_dim_v]`, out `[batch, num_heads, q_len, head_dim_v]`. With layout bshd the
    length comes before the heads. Two cases are equal if their texts are; `str(case)` is one line.

    Args:
        source: the path of a case file, its JSON text, its dict, or another case. Tensors that the file keeps in a
            second file are read from there.

    Raises:
        InputError: the source cannot be read or is no case; the text names the place in the file.
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
        """The whole case as a dict, as corpus/case.schema.json describes it. A new dict each time."""
        return json.loads(self.json)  # type: ignore[no-any-return]

    @property
    def problem(self) -> dict[str, Any]:
        """The part of `data` that states the problem: sizes, dtype, layout, mask and options."""
        return self.data["problem"]  # type: ignore[no-any-return]

    @property
    def features(self) -> list[str]:
        """The words for what the case uses: `"gqa"`, `"rule:causal"` … (sorted)."""
        return _core.features(self.json)

    def describe(self) -> str:
        """The case in a few lines of plain English, as `attnfuzz show` prints them."""
        return _core.describe(self.json)

    def mask_drawing(self, b: int = 0, h: int = 0) -> str:
        """Draws the mask as text: a line for each query, a column for each key.

        Args:
            b: the batch row, from 0 on.
            h: the query head, from 0 on.

        Raises:
            InputError: the case has no such row or head.
        """
        return _core.draw_mask(self.json, b, h)

    def inputs(self, arrays: str | ModuleType = "numpy") -> dict[str, Any]:
        """Makes the tensors from the seed: the same bits on every machine.

        Args:
            arrays: `"numpy"`, `"torch"`, `"jax"`, or a module with `from_dlpack()` or `asarray()`.

        Returns:
            The arrays by name, in the case's layout and dtype: `"q"`, `"k"`, `"v"`, and those of `"mask"` (bool,
                `[batch, num_heads, q_len, kv_len]`, True where the query sees the key), `"bias"`, `"sinks"`,
                `"mem_k"`, `"mem_v"`, `"grad_out"` … that the case has.

        Raises:
            InputError: the package is not installed, or has no such dtype.
        """
        give, dtype = _arrays.giver(arrays), self.problem["dtype"]
        return {
            name: give(raw.astype(bool), "bool") if name == "mask" else give(raw, dtype)
            for name, raw in _core.inputs(self.json).items()
        }

    def expected(self) -> list[Array | None]:
        """The right answer, computed in double precision.

        Returns:
            The output of each step, in the case's layout as float64; a case without a cache has one step. None stands
                for a step that brings no tokens.
        """
        steps = _core.answer(self.json, _claims.for_judging(self.problem["dtype"], None))
        return [None if step is None else step[0] for step in steps]

    def check(self, *outputs: Any, precision: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Checks outputs of yours against the reference.

        Args:
            *outputs: the output of each step; a case without a cache has one. Where the case asks for more than out,
                each is a tuple (out, lse, dq, dk, dv …) of what is asked for, or a dict with these names.
            precision: how the outputs were computed, as in `Claims`; the error bound is derived from it.

        Raises:
            AssertionError: an output is wrong; the text says which elements, and by how much.
            TypeError: an output is no array, or has a dtype that attention does not have.
        """
        claims = _claims.for_judging(self.problem["dtype"], precision)
        if words := _core.judge(self.json, claims, [self._step(returned) for returned in outputs]):
            raise AssertionError(f"{words}\nof {self}")

    def _step(self, returned: Any) -> Step:
        outputs = {name: _arrays.take(array)
                   for name, array in _gradients.named(returned, self.problem.get("outputs") or ["out"]).items()}
        return (*outputs.pop("out"), [], [], None, outputs)

    def save(self, file: str | Path) -> None:
        """Writes the case file, which every command of attnfuzz takes.

        Args:
            file: its path; a file that is there is replaced.

        Raises:
            OSError: the file cannot be written.
        """
        Path(file).write_text(self.json)

    def __str__(self) -> str:
        return _core.one_line(self.json)

    def __repr__(self) -> str:
        return f"<attnfuzz.Case {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and other.json == self.json

    def __hash__(self) -> int:
        return hash(self.json)
