"""The command `attnfuzz`: starts the wheel's program, with this interpreter for Python packages under test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "_program"
"""In a wheel: bin/attnfuzz, and what it needs beside it."""


def called(subcommand: str) -> str:
    """How a subcommand is called: by the program if it started this process, else by `python -m attnfuzz`."""
    if os.environ.get("ATTNFUZZ"):
        return f"attnfuzz {subcommand}"
    return "python -m attnfuzz" if subcommand == "check" else f"python -m attnfuzz {subcommand}"


def home() -> str:
    """Where corpus/ and targets/python/ lie."""
    installed = FOLDER / "share" / "attnfuzz"
    if installed.is_dir():
        return str(installed)
    from attnfuzz import _core

    return _core.home()


def main() -> None:
    """Becomes the program; never returns."""
    program = FOLDER / "bin" / "attnfuzz"
    if not program.is_file():
        sys.exit("attnfuzz: this build of the Python package has no command line "
                 "(it was built with ATTNFUZZ_PROGRAM=OFF)")
    os.environ.setdefault("ATTNFUZZ_PYTHON", sys.executable)
    os.execv(program, [str(program), *sys.argv[1:]])


if __name__ == "__main__":
    main()
