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
    """Cases inside the claims. Hypothesis shrinks the choices that a case is made from, which gives a smaller case but
    seldom the smallest: attnfuzz.replay(fn, case, max_shrink_tries=2000) does.

    Without `features`, `rules` and the like: plain attention in float32, layout bhsd. Raises InputError for claims that
    are none.
    """
    case_option = {option.names[0]: option for option in OPTIONS if option.names[0] == "case"}
    capabilities = _claims.complete(claims, case_option, "cases()")

    @st.composite
    def made(draw: st.DrawFn) -> Case:
        return Case(_core.generate_from(capabilities, lambda: draw(CHOICE)))

    return made()


def inputs(arrays: Any = "numpy", **claims: Unpack[Claims]) -> st.SearchStrategy[tuple[Case, dict[str, Any]]]:
    """Cases with their tensors by name ("q", "k", "v", "mask" …), as arrays of "numpy", "torch" or "jax"."""
    return cases(**claims).map(lambda case: (case, case.inputs(arrays)))
