"""Hypothesis strategies built from the same description as check().

    from hypothesis import given
    from attnfuzz.strategies import cases

    @given(cases(head_dim=(1, 16), features=["rule:causal", "gqa"]))
    def test_mine(case):
        t = case.inputs()
        case.check(my_attention(t["q"], t["k"], t["v"], t.get("mask")))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from attnfuzz import _claims, _core
from attnfuzz._case import Case
from attnfuzz._claims import Claims
from attnfuzz._options import OPTIONS

if TYPE_CHECKING:
    from typing_extensions import Unpack

CHOICE = st.integers(0, 2**16 - 1)
"""A case is made from a row of these; 0 is the first of what there is to choose from."""


def cases(**claims: Unpack[Claims]) -> st.SearchStrategy[Case]:
    """A strategy for cases inside the claims.

    Hypothesis shrinks the choices that a case is made from, which gives a smaller case but seldom the smallest:
    `attnfuzz.replay(fn, case, max_shrink_tries=2000)` goes on from there.

    Args:
        **claims: what `check` takes. Without `features`, `rules` and the like, cases are plain attention in float32
            with layout bhsd.

    Returns:
        A strategy for `Case`.

    Raises:
        InputError: a claim is unknown or has a wrong value.
    """
    case_option = {option.names[0]: option for option in OPTIONS if option.names[0] == "case"}
    capabilities = _claims.complete(claims, case_option, "cases()")

    @st.composite
    def made(draw: st.DrawFn) -> Case:
        return Case(_core.generate_from(capabilities, lambda: draw(CHOICE)))

    return made()


def inputs(arrays: Any = "numpy", **claims: Unpack[Claims]) -> st.SearchStrategy[tuple[Case, dict[str, Any]]]:
    """A strategy for cases with their tensors.

    Args:
        arrays: `"numpy"`, `"torch"`, `"jax"`, or a module with `from_dlpack()` or `asarray()`.
        **claims: as for `cases`.

    Returns:
        A strategy for pairs of a `Case` and its arrays by name, as `Case.inputs` gives them.

    Raises:
        InputError: as for `cases`.
    """
    return cases(**claims).map(lambda case: (case, case.inputs(arrays)))
