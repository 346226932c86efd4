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
    """Marks an attention function (q, k, v, …) -> out as a test; keywords and shapes are those of check().

        @attnfuzz.attention_test(features="gqa", head_dim=(8, 64, 8))
        def test_my_attention(q, k, v, mask=None):
            return my_attention(q, k, v, mask)

    pytest then runs a campaign on it, and each finding is a test of its own: `test_my_attention::error-71cc9c50bc41`.
    Findings are remembered in pytest's cache and run first the next time. --attnfuzz-cases and --attnfuzz-seed give
    the budget where `cases` and `seed` do not. The function stays what it was.
    """

    how = {"arrays": arrays, "device": device, "gradients": gradients, "lse": lse, "keywords": keywords,
           "isolate": isolate, "timeout": timeout}

    def mark(fn: F) -> F:
        setattr(fn, MARK, Settings(cases, seed, how, claims))
        return fn

    return mark
