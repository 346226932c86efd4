"""attnfuzz finds wrong attention: any function of (q, k, v) is held against a double-precision oracle.

    import attnfuzz
    print(attnfuzz.check(my_attention))

The pytest plug-in (attention_test), Hypothesis strategies (attnfuzz.strategies) and everything here share one
description of what a function claims: Claims.
"""

from attnfuzz._case import Case, CaseLike
from attnfuzz._check import Interrupted, check, load, replay
from attnfuzz._claims import Claims
from attnfuzz._core import InputError, version
from attnfuzz._decorator import attention_test
from attnfuzz._function import Declined
from attnfuzz._result import Finding, Result

__version__ = version()
__all__ = [
    "Case",
    "CaseLike",
    "Claims",
    "Declined",
    "Finding",
    "InputError",
    "Interrupted",
    "Result",
    "attention_test",
    "check",
    "load",
    "replay",
]
