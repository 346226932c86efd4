"""What the tests of the command line share: the program, and how it is run."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ATTNFUZZ_BINARY_DIR", ROOT / "build" / "release"))
PROGRAM = BUILD / "attnfuzz"


def attnfuzz(*words, expect=None, timeout=600, **environment):
    """Runs it; checks the exit code where one is expected."""
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **environment})
    if expect is not None:
        assert done.returncode == expect, f"exit {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}"
    return done


def summary(out):
    return json.loads((pathlib.Path(out) / "summary.json").read_text())


def signatures(out):
    return {(f["target"], f["signature"]) for f in summary(out)["findings"]}
