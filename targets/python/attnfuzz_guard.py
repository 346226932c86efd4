"""Inputs whose end or start is at a page that can't be read: a package that reads beyond one dies of it.

The memory is made by attnfuzz_guard.so (targets/python/guard.cpp), which says too which input it was. ATTNFUZZ_GUARD
holds its path; without it there is no such memory, and inputs stay where they were sent.
"""
from __future__ import annotations

import ctypes
import os

import numpy as np

from attnfuzz_worker import foreign_functions

FUNCTIONS = {
    "attnfuzz_guard_report_faults": [None],
    "attnfuzz_guard_make": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int],
    "attnfuzz_guard_data": [ctypes.c_void_p, ctypes.c_void_p],
    "attnfuzz_guard_free": [None, ctypes.c_void_p],
}
AT_START, AT_END = -1, 1  # GuardedMemory::Placement


def side(name: str, seed: int) -> int:
    """Where the page lies: the rule of PluginCall::placement(), of which only whether fnv1a(name) is odd counts."""
    return AT_END if (1 + sum(name.encode()) + seed) % 2 == 0 else AT_START


class Guarded:
    """One tensor's memory; it goes when the last array on it does."""

    def __init__(self, functions: dict, name: str, like: np.ndarray, where: int):
        self.free = functions["attnfuzz_guard_free"]
        self.handle = functions["attnfuzz_guard_make"](name.encode(), like.nbytes, where)
        if not self.handle:
            raise MemoryError(f"guarded memory for {name}")
        self.__array_interface__ = {"version": 3, "shape": like.shape, "typestr": like.dtype.str,
                                    "data": (functions["attnfuzz_guard_data"](self.handle), False)}

    def __del__(self):
        if self.handle:
            self.free(self.handle)


class Guard:
    """Copies inputs into guarded memory."""

    def __init__(self, library: str):
        self.functions = foreign_functions(library, FUNCTIONS)
        self.functions["attnfuzz_guard_report_faults"]()

    def guarded(self, name: str, array: np.ndarray, seed: int) -> np.ndarray:
        placed = np.asarray(Guarded(self.functions, name, array, side(name, seed)))
        placed[...] = array
        return placed


def make_guard() -> Guard | None:
    library = os.environ.get("ATTNFUZZ_GUARD")
    return Guard(library) if library else None
