"""@attention_test: marks an attention function as a test for the pytest plug-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from attnfuzz._claims import Claims

if TYPE_CHECKING:
    from typing_extensions import Unpack

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__attnfuzz__"


@dataclass(frozen=True)
class Settings:
    """How a marked function is tested. None: as the command line or check() has it."""

    cases: int | None
    seed: int | None
    how: dict[str, Any]  # arrays, device, gradients, lse, keywords, isolate, timeout: as check() has them
    claims: Claims


def attention_test(
    *,
    cases: int | None = None,
    seed: int | None = None,
    arrays: str | ModuleType | None = None,
    device: str | None = None,
    gradients: bool = False,
    lse: bool = False,
    keywords: Sequence[str] = (),
    isolate: bool | None = None,
    timeout: float = 20.0,
    **claims: Unpack[Claims],
) -> Callable[[F], F]:
    """Marks an attention function as a test for pytest.

        @attnfuzz.attention_test(features="gqa", head_dim=(8, 64, 8))
        def test_my_attention(q, k, v, mask=None):
            return my_attention(q, k, v, mask)

    pytest then runs a campaign on it. Each finding is a failed test of its own,
    `test_my_attention::error-71cc9c50bc41`; it is remembered in pytest's cache, and its case runs first the next time.
    The function stays what it was.

    Args:
        cases: how many cases to run; None: as pytest's option `--attnfuzz-cases` says (200).
        seed: the same seed gives the same cases; None: as `--attnfuzz-seed` says (0).
        arrays: as for `check`, like all further arguments.
        device: as for `check`.
        gradients: as for `check`.
        lse: as for `check`.
        keywords: as for `check`.
        isolate: as for `check`.
        timeout: as for `check`.
        **claims: as for `check`.

    Returns:
        The decorator. A wrong argument or claim fails the test when pytest runs it.
    """
    how = {"arrays": arrays, "device": device, "gradients": gradients, "lse": lse, "keywords": keywords,
           "isolate": isolate, "timeout": timeout}

    def mark(fn: F) -> F:
        setattr(fn, MARK, Settings(cases, seed, how, claims))
        return fn

    return mark
