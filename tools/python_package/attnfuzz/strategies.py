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

CHOICES = 256
"""Bytes that a case is made from, two for each choice; choices beyond them are the first of their kind."""


def cases(**claims: Unpack[Claims]) -> st.SearchStrategy[Case]:
    """Cases inside the claims. Hypothesis shrinks the choices that a case is made from, so towards plain cases.

    Without `features`, `rules` and the like: plain attention in float32, layout bhsd. Raises InputError for claims that
    are none.
    """
    case_option = {option.names[0]: option for option in OPTIONS if option.names[0] == "case"}
    capabilities = _claims.complete(claims, case_option, "cases()")
    return st.binary(min_size=CHOICES, max_size=CHOICES).map(
        lambda choices: Case(_core.generate_from(capabilities, choices))
    )


def inputs(arrays: Any = "numpy", **claims: Unpack[Claims]) -> st.SearchStrategy[tuple[Case, dict[str, Any]]]:
    """Cases with their tensors by name ("q", "k", "v", "mask" …), as arrays of "numpy", "torch" or "jax"."""
    return cases(**claims).map(lambda case: (case, case.inputs(arrays)))
