"""attnfuzz record -o DIR [options] -- COMMAND…: runs a program, and records the attention calls that its Python
processes make.

Exit: the program's own; 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from attnfuzz_record._recorder import Limits
from attnfuzz_record._start import VARIABLE

HERE = Path(__file__).resolve().parent


def arguments() -> argparse.ArgumentParser:
    default = Limits()
    parser = argparse.ArgumentParser(
        prog="attnfuzz record", usage="%(prog)s -o DIR [options] -- COMMAND…",
        description="Runs a program and records the attention calls of its Python processes, for `attnfuzz judge DIR`.")
    parser.add_argument("-o", "--out", metavar="DIR", required=True,
                        help="the folder of the recording; a recording in it is replaced")
    parser.add_argument("--calls", type=int, default=default.calls, metavar="N",
                        help="how many calls are kept (default: %(default)s)")
    parser.add_argument("--megabytes", type=float, default=default.megabytes, metavar="M",
                        help="how much is kept (default: %(default)s)")
    parser.add_argument("--every", type=int, default=default.every, metavar="N",
                        help="keep each caller's every N-th call")
    parser.add_argument("--new", action="store_true",
                        help="keep only calls whose shapes and options were not seen before")
    parser.add_argument("--eager", action="store_true",
                        help="run what torch.compile compiled as it was written, so that its calls can be caught")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="python serve.py …")
    return parser


def others(path: str) -> list[str]:
    """PYTHONPATH less the folder that holds this package: the program's own interpreter has other packages than this
    one.
    """
    return [each for each in path.split(os.pathsep) if each and (Path(each) / HERE.name).resolve() != HERE]


def main(argv: list[str] | None = None) -> int:
    """Becomes the program; returns for wrong usage only."""
    parser = arguments()
    options = parser.parse_args(argv)
    if min(options.calls, options.every) < 1 or options.megabytes <= 0:
        parser.error("--calls, --every and --megabytes: expected at least 1")
    command = options.command[options.command[:1] == ["--"]:]
    if not command:
        parser.error("expected a program to run: attnfuzz record -o DIR -- python serve.py")
    program = shutil.which(command[0])
    if program is None:
        parser.error(f"{command[0]}: expected a program")
    folder = Path(options.out).absolute()
    (folder / ".claimed").unlink(missing_ok=True)
    (folder / "recording.json").unlink(missing_ok=True)
    os.environ[VARIABLE] = json.dumps({
        "folder": str(folder), "process": os.getpid(), "calls": options.calls, "megabytes": options.megabytes,
        "every": options.every, "new": options.new, "eager": options.eager})
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE / "boot"), *others(os.environ.get("PYTHONPATH", ""))])
    os.execv(program, [program, *command[1:]])


if __name__ == "__main__":
    sys.exit(main())
