"""The examples, and the Python code of docs/python.md, run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import attnfuzz

sys.path.insert(0, str(Path(__file__).parent))
from where import PLUGIN

EXAMPLES = Path(__file__).parent.parent / "examples"
GUIDE = EXAMPLES.parents[2] / "docs" / "python.md"


def run(cwd, *arguments):
    path = str(Path(attnfuzz.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-B", *arguments], cwd=cwd, env=os.environ | {"PYTHONPATH": path},
                          capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def pytest_run(cwd, file):
    return run(cwd, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGIN, str(file))


@pytest.mark.parametrize(
    "name, words",
    [
        ("first_finding", ["gives a wrong output on b2", "causes? .*(mask|batch)|or "]),
        ("kv_cache", ["python:mine:cache", "reorder"]),
    ],
)
def test_an_example_finds_its_bug(name, words, tmp_path):
    code, output = run(tmp_path, str(EXAMPLES / f"{name}.py"))
    assert code == 0, output
    assert all(re.search(each, output) for each in words), output


def test_torch_example(tmp_path):
    pytest.importorskip("torch")
    code, output = run(tmp_path, str(EXAMPLES / "torch_attention.py"))
    assert code == 0 and "300 passed, 0 failed; 0 findings" in output and "gqa" in output, output


@pytest.mark.parametrize("name", ["pytest", "hypothesis"])
def test_examples_for_test_runners_pass(name, tmp_path):
    pytest.importorskip(name)
    code, output = pytest_run(tmp_path, EXAMPLES / f"test_with_{name}.py")
    assert code == 0 and re.search(r"\d passed", output), output


@pytest.mark.skipif(not GUIDE.exists(), reason="docs/ is not there")
def test_the_guide(tmp_path):
    """Its blocks are one program; a name that ends in .py before a block makes it a file of its own."""
    (tmp_path / "mine.py").write_text((EXAMPLES / "first_finding.py").read_text().partition("\n\nresult")[0])
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for n, block in enumerate(blocks):
        file = tmp_path / f"test_block_{n}.py"
        file.write_text(block)
        code, output = pytest_run(tmp_path, file) if "def test_" in block else run(tmp_path, str(file))
        assert code == (1 if "# finds" in block and "def test_" in block else 0), f"block {n}:\n{block}\n{output}"
