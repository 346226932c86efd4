"""Records the attention calls of a running program, for `attnfuzz judge` (docs/recording.md).

    with attnfuzz_record.record("recording"):
        model.generate(...)

It is a package of its own, in Python and NumPy alone, so that it can be put beside any program: the interpreter that
serves a model need not be the one that attnfuzz was built for. `attnfuzz.record` is the same function.
"""

from attnfuzz_record._start import record

__all__ = ["record"]
