"""The package's own types, and what a user's type checker says of calls."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

PACKAGE = Path(__file__).parent.parent
CALLS = '''
import attnfuzz
def f(q: object, k: object, v: object) -> object: return v
result: attnfuzz.Result = attnfuzz.check(f, head_dim=(8, 64, 8), features="gqa", cases=10)
attnfuzz.check(f, head_dims=8)  # wrong
attnfuzz.check(f, cases="10")  # wrong
'''


def mypy(*arguments):
    return subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", "/dev/null",
                           "--config-file", "/dev/null", *arguments], capture_output=True, text=True)


def test_the_package_is_typed(tmp_path):
    (tmp_path / "calls.py").write_text(CALLS)
    packages = (str(PACKAGE / name) for name in ("attnfuzz", "attnfuzz_record"))
    done = mypy("--python-version", "3.11", *packages, str(tmp_path / "calls.py"))
    wrong = [line for line in done.stdout.splitlines() if "error:" in line]
    lines = CALLS.splitlines()
    assert len(wrong) == 2, done.stdout
    assert all("calls.py" in line and "# wrong" in lines[int(line.split(":")[1]) - 1] for line in wrong), done.stdout
