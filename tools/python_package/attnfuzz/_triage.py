"""Reading error texts of other people: which axis each number stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from attnfuzz import _core
from attnfuzz._core import InputError

LAYOUTS = ("bhsd", "bshd", "bsd", "nsd")


@dataclass(frozen=True)
class NumberRead:
    """A number of an error text and what it stands for."""

    value: int
    axis: str
    """Such as "kv_len" or "batch*num_heads"; empty where it is not told."""
    of: str
    """Whose axis it is, such as "mask"; empty where it is not told."""


@dataclass(frozen=True)
class Reading:
    """What `read_error` makes of a text. `str(reading)` is what `attnfuzz triage --no-run` prints of it."""

    numbers: tuple[NumberRead, ...]
    """Sizes that other lines give, then the numbers of the message in its order."""
    sureness: str
    """"sure", "likely" (of several readings the likeliest), "open" (another is about as likely) or "not read"."""
    instead: tuple[NumberRead, ...]
    """The second likeliest reading of the message's numbers, where it is likely enough to be told."""
    operation: str
    """What was done, such as "elementwise"; empty where it is not told."""
    mistake: str
    """The likely mistake in one sentence, on the condition that the reading is right; empty where none is known."""
    questions: tuple[str, ...]
    """What to ask the reporter: the answers would decide."""
    named: str
    """The message with its numbers named: "tensor a (q_len=8) must match …"."""
    package: str
    """The package that raised it, as far as the text tells; else empty."""
    _text: str = field(repr=False)

    def __str__(self) -> str:
        return self._text


def read_error(text: str, shapes: Mapping[str, Sequence[int]] | None = None, layout: str = "bhsd") -> Reading:
    """Says which axis each number of an error text stands for, and how sure that is. Nothing is run.

    Args:
        text: A traceback, or a report that quotes an error, of any framework.
        shapes: Shapes that the report gives besides: of q, k, v, past, scores or mask.
        layout: The axes of q, k and v in `shapes`: "bhsd" (batch, heads, length, head_dim), "bshd", "bsd" (batch, length,
            features) or "nsd" (batch * heads, length, head_dim).

    Returns:
        The likeliest reading; its `sureness` says how far to trust it.

    Raises:
        InputError: A shape of an unknown tensor or with too many axes, or an unknown layout.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    words = ",".join(f"{tensor}={'x'.join(map(str, shape))}" for tensor, shape in (shapes or {}).items())
    try:
        printed, written = _core.read_error(text, words, layout)
    except InputError as error:
        raise InputError(str(error).replace("--shapes", "shapes", 1)) from None
    found = json.loads(written)

    def numbers(key: str) -> tuple[NumberRead, ...]:
        return tuple(NumberRead(each["value"], each["axis"], each["of"]) for each in found[key])

    return Reading(
        numbers=numbers("numbers"),
        sureness=found["sureness"],
        instead=numbers("instead"),
        operation=found["pattern"],
        mistake=found.get("cause", {}).get("words", ""),
        questions=tuple(found["questions"]),
        named=found["named"],
        package=found["package"],
        _text=printed,
    )
