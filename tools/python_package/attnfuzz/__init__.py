"""attnfuzz finds wrong attention: it checks any function of (q, k, v) against a double-precision reference.

    import attnfuzz
    print(attnfuzz.check(my_attention))

The pytest plug-in (attention_test), the Hypothesis strategies (attnfuzz.strategies) and all functions here take the
same description of what a function claims: Claims. record() keeps the attention calls of a running program
(docs/recording.md).
"""

from attnfuzz._case import Case, CaseLike
from attnfuzz._check import Interrupted, check, load, replay
from attnfuzz._claims import Claims
from attnfuzz._core import InputError, version
from attnfuzz._decorator import attention_test
from attnfuzz._function import Declined
from attnfuzz._result import Finding, Result
from attnfuzz._triage import NumberRead, Reading, read_error
from attnfuzz_record import record

__version__ = version()
__all__ = [
    "Case",
    "CaseLike",
    "Claims",
    "Declined",
    "Finding",
    "InputError",
    "Interrupted",
    "NumberRead",
    "Reading",
    "Result",
    "attention_test",
    "check",
    "load",
    "read_error",
    "record",
    "replay",
]
