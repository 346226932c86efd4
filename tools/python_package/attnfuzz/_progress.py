"""How far a campaign is: a bar on the terminal, or in a notebook."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any, Protocol

from attnfuzz import _core

EVERY = 0.2
"""Seconds between two drawings."""
WIDTH = 20


class Progress(Protocol):
    findings: int

    def __call__(self, stats: _core.Stats) -> None: ...
    def clear(self) -> None: ...


class Bar:
    """The part of the budget that is spent, and the words beside it."""

    def __init__(self, name: str, cases: int, seconds: float) -> None:
        self.name, self.cases, self.seconds, self.findings = name, cases, seconds, 0
        self.next = time.monotonic() + EVERY

    def __call__(self, stats: _core.Stats) -> None:
        if (now := time.monotonic()) < self.next:
            return
        self.next = now + EVERY
        spent = stats.seconds / self.seconds if self.seconds else stats.cases / max(self.cases, 1)
        rate = stats.cases / max(stats.seconds, 1e-9)
        plural = "" if self.findings == 1 else "s"
        self.draw(min(spent, 1.0), f"{stats.cases} cases, {rate:.0f} cases/s, {self.findings} finding{plural}")

    def draw(self, part: float, words: str) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError


class Terminal(Bar):
    """A line that rewrites itself."""

    def draw(self, part: float, words: str) -> None:
        filled = round(part * WIDTH)
        bar = "=" * filled + "." * (WIDTH - filled)
        print(f"\r\x1b[2K[{bar}] {self.name}: {words}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


class Notebook(Bar):
    """An HTML progress element below the cell."""

    def __init__(self, name: str, cases: int, seconds: float) -> None:
        super().__init__(name, cases, seconds)
        self.handle: Any = None

    def draw(self, part: float, words: str) -> None:
        import html

        ipython: Any = importlib.import_module("IPython.display")
        told = html.escape(f"{self.name}: {words}")
        shown = ipython.HTML(f"<progress max=1 value={part:.3f}></progress> {told}")
        if self.handle is None:
            self.handle = ipython.display(shown, display_id=True)
        else:
            self.handle.update(shown)

    def clear(self) -> None:
        if self.handle is not None:
            self.handle.update(importlib.import_module("IPython.display").HTML(""))


def in_notebook() -> bool:
    """Whether IPython runs this in a kernel, which draws HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def progress_for(wanted: bool | None, name: str, cases: int, seconds: float) -> Progress | None:
    """The fitting one; None where none is wanted, or nobody looks."""
    if wanted is False:
        return None
    if in_notebook():
        return Notebook(name, cases, seconds)
    return Terminal(name, cases, seconds) if wanted or sys.stderr.isatty() else None
