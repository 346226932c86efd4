"""Pages are walked as they stand: their files are saved and changed, their commands run, the output compared."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"tutorial": 10, "case-format": 4, "kernel-authors": 6, "ci-jobs": 10, "maintainers": 5, "serving-engineers": 4}
"""Pages of docs/ whose blocks are run, and how many commands they have at least."""
NEEDS = {"serving-engineers": ["torch"]}
"""Packages without which a page is not run."""
BUILD = Path(os.environ.get("ATTNFUZZ_BINARY_DIR", ROOT / "build" / "release"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"`([\w.]+)`:\s*$")
"""What stands before a block that is a file, or a change to one: "Save this as `mine.py`:"."""


def blocks(text):
    """Each block as (language, the file named before it or "", content)."""
    end = 0
    for block in BLOCK.finditer(text):
        name = NAME.search(text[end : block.start()])
        yield block[1], name[1] if name else "", block[2]
        end = block.end()


def commands(content):
    """Each command of a console block, with the output that the page shows."""
    for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def timeless(text):
    """The text without times and rates, which differ from run to run."""
    return re.sub(r"\b\d+(\.\d+)?( cases/s|(?<=\d)s\b| s\b)", "N", text)


def same(shown, printed):
    """Whether a page's output is the command's; "…" stands for any lines, or for the rest of a line."""
    wanted = re.escape(timeless(shown))
    wanted = re.sub(r"^…\\\n", r"(?:.*\\n)*?", wanted, flags=re.MULTILINE)
    wanted = re.sub(r"\\ …(?=\\\n)", ".*", wanted)
    return re.fullmatch(wanted, timeless(printed)) is not None


class Walk:
    """A shell that keeps its folder, its exported variables and the last exit code."""

    def __init__(self, folder):
        self.folder, self.code = folder, 0
        path = os.pathsep.join([str(BUILD), str(Path(sys.executable).parent), os.environ["PATH"]])
        installed = any(e.name == "attnfuzz" for e in entry_points(group="pytest11"))
        plugin = "-p no:cacheprovider" + ("" if installed else " -p attnfuzz.pytest_plugin")
        self.environment = os.environ | {"PATH": path, "PYTHONPATH": str(BUILD / "python"), "PYTEST_ADDOPTS": plugin,
                                         "ATTNFUZZ_PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, command):
        if export := re.fullmatch(r"export (\w+)=(\S+)", command):
            self.environment[export[1]] = export[2]
            return ""
        done = subprocess.run(["bash", "-c", f"(exit {self.code}); {command}"], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=300)
        self.code = done.returncode
        return done.stdout + (done.stderr if done.returncode > 1 else "")

    def change(self, file, diff):
        old, new = ("".join(line[1:] + "\n" for line in diff.splitlines() if line[0] == sign) for sign in "-+")
        text = file.read_text()
        assert text.count(old) == 1, f"{file.name} has {text.count(old)} times:\n{old}"
        file.write_text(text.replace(old, new))


@pytest.mark.parametrize("page, least", PAGES.items())
def test_a_page_is_true(page, least, tmp_path):
    for package in ["numpy", *NEEDS.get(page, [])]:
        pytest.importorskip(package)
    if not (BUILD / "python" / "attnfuzz").is_dir():
        pytest.skip("the Python package is not built")
    walk, ran = Walk(tmp_path), 0
    for language, name, content in blocks((ROOT / "docs" / f"{page}.md").read_text()):
        if language == "console":
            for command, output in commands(content):
                got = walk.run(command)
                assert same(output, got), f"$ {command}\n{got}\nthe page has:\n{output}"
                ran += 1
        elif language == "diff":
            walk.change(tmp_path / name, content)
        else:
            assert name, f"no file is named before:\n{content}"
            (tmp_path / name).write_text(content)
    assert ran >= least


@pytest.mark.parametrize(
    "shown, printed, is_same",
    [
        ("a 3.1 s: 1\n", "a 12 s: 1\n", True),
        ("1 passed in 3.18s\n", "1 passed in 0.9s\n", True),
        ("a …\n", "a b c\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
        ("a 3 b\n", "a 4 b\n", False),
        ("a\n", "a\nb\n", False),
    ],
)
def test_outputs_are_compared(shown, printed, is_same):
    assert same(shown, printed) == is_same
