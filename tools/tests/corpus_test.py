"""`attnfuzz corpus`: folders of cases."""
import re
import shutil

import pytest
from program import ROOT, attnfuzz


def covered(dir):
    text = attnfuzz("corpus", "stats", dir, expect=0).stdout
    return tuple(map(int, re.search(r": (\d+) cases cover (\d+) points", text).groups()))


@pytest.fixture
def folder(tmp_path):
    """Cases without an expected verdict: as a fuzzer leaves them, some of them twice."""
    dir = tmp_path / "cases"
    dir.mkdir()
    for k, file in enumerate(sorted((ROOT / "corpus").rglob("*.case.json"))[:12]):
        text = re.sub(r',\s*"expect":\s*\{[^}]*\}', "", file.read_text())
        (dir / f"{k:02}").write_text(text)
        (dir / f"again-{k:02}").write_text(text)
    return dir


def test_min_covers_the_same_with_fewer(folder, tmp_path):
    cases, points = covered(folder)
    attnfuzz("corpus", "min", folder, "-o", tmp_path / "min", expect=0)
    fewer, same = covered(tmp_path / "min")
    assert (cases, same) == (24, points) and 0 < fewer <= 12


def test_cases_with_an_expected_verdict_stay(tmp_path):
    files = sorted((ROOT / "corpus" / "transformers").rglob("*.case.json"))
    attnfuzz("corpus", "min", ROOT / "corpus" / "transformers", "-o", tmp_path / "min", expect=0)
    assert sorted(f.name for f in (tmp_path / "min").iterdir()) == sorted(f.name for f in files)


def test_merge_adds_only_what_covers_something_new(folder, tmp_path):
    into = tmp_path / "into"
    assert not attnfuzz("corpus", "merge", into, folder, expect=0).stdout.startswith("0 cases")
    assert covered(into)[1] == covered(folder)[1]
    assert attnfuzz("corpus", "merge", into, folder, expect=0).stdout.startswith("0 cases")


def test_wrong_usage(tmp_path):
    assert "expected a folder of cases" in attnfuzz("corpus", "stats", tmp_path / "none", expect=2).stderr
    shutil.copy(ROOT / "README.md", tmp_path / "bad.case.json")
    assert "bad.case.json" in attnfuzz("corpus", "stats", tmp_path, expect=2).stderr
