"""Functions in worker processes: crashes, hangs and interrupts; and what a result says."""

import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

import pytest

import attnfuzz
from attnfuzz import testcase

sys.path.insert(0, str(Path(__file__).parent))
import reference
from reference import attention

MODULE = """
import os, signal, time
import numpy as np
from reference import attention

def crashes(q, k, v):
    if q.shape[2] > 2: os.kill(os.getpid(), signal.SIGSEGV)
    return attention(q, k, v)

def hangs(q, k, v):
    while q.shape[0] > 1: time.sleep(0.01)
    return attention(q, k, v)

def slow(q, k, v):
    time.sleep(0.05)
    return attention(q, k, v, scale=1.0)

class Kernels:
    @staticmethod
    def right(q, k, v): return attention(q, k, v)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "kernels_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("kernels_of_mine", None)
    return tmp_path


def environment():
    path = os.pathsep.join([str(Path(attnfuzz.__file__).parent.parent), str(Path(__file__).parent)])
    return os.environ | {"PYTHONPATH": path}


def run_python(*arguments, cwd):
    return subprocess.run([sys.executable, "-B", *arguments], cwd=cwd, env=environment(), capture_output=True,
                          text=True)


def test_a_crash_is_a_finding(here):
    import kernels_of_mine

    result = attnfuzz.check(kernels_of_mine.crashes, cases=30)
    assert [f.kind for f in result.findings] == ["crash"] and result.findings[0].case.problem["q_len"] == 3
    assert ("ran", "in a worker process") in result.notes


def test_a_hang_is_a_finding_and_seconds_hold(here):
    import kernels_of_mine

    start = time.monotonic()
    result = attnfuzz.check(kernels_of_mine.hangs, seconds=2, timeout=0.5)
    assert [f.kind for f in result.findings] == ["timeout"] and result.findings[0].case.problem["batch"] > 1
    assert time.monotonic() - start < 120


def test_methods_are_imported_too(here):
    import kernels_of_mine

    result = attnfuzz.check(kernels_of_mine.Kernels.right, cases=20)
    assert result and ("ran", "in a worker process") in result.notes


@pytest.mark.parametrize("fn, words", [(lambda q, k, v: attention(q, k, v), "defined inside another"),
                                       (reference.mask_over_heads, "")])
def test_what_has_no_name_runs_in_this_process(fn, words):
    place = dict(attnfuzz.check(fn, cases=5).notes)["ran"]
    assert words in place and ("worker" in place) == (words == "")
    if words:
        with pytest.raises(attnfuzz.InputError, match=f"can't be run in a worker: .*{words}"):
            attnfuzz.check(fn, isolate=True)
    assert dict(attnfuzz.check(fn, cases=5, isolate=False).notes)["ran"] == "in this process"


SCRIPT = """
import os, attnfuzz
from reference import attention
print("once")
def mine(q, k, v):
    if q.shape[0] == 2: os._exit(7)
    return attention(q, k, v)
print(attnfuzz.check(mine, cases=30))
"""


def test_a_script_is_run_up_to_its_check(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_python("script.py", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count("once") == 1, done.stderr
    assert "exited with 7" in done.stdout or "code 7" in done.stdout, done.stdout
    assert "in a worker process" in done.stdout


def test_an_interrupt_keeps_the_findings(here):
    arguments = ["-m", "attnfuzz", "kernels_of_mine:slow", "--cases", "100000", "--size", "head_dim=4:8"]
    process = subprocess.Popen([sys.executable, "-B", *arguments, "--out", "out"], cwd=here, env=environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and time.monotonic() < deadline - 50:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    assert (process.returncode, "interrupted" in out) in ((130, True), (1, False)), (process.returncode, out, err)
    assert (here / "out" / "summary.json").exists()


def test_no_case_is_no_pass():
    result = attnfuzz.check(attention, cases=0)
    assert not result and result.verdict == "nothing was tested" and "not a pass: nothing was tested" in str(result)

    def declines(q, k, v):
        raise attnfuzz.Declined("no")

    assert attnfuzz.check(declines, cases=5).verdict == "nothing was tested"
    with pytest.raises(AssertionError, match="nothing was tested"):
        attnfuzz.check(declines, cases=5).raise_on_findings()


def test_a_result_tells_what_was_asked():
    notes = dict(attnfuzz.check(attention, cases=5, batch=2, head_dim=(8, 64, 8)).notes)
    assert "batch 2" in notes["sizes"] and "head_dim 8…64 by 8" in notes["sizes"]
    assert "half precision" in notes["not asked"] and "gradients" in notes["not asked"]
    assert "numpy" in notes["arrays"]


def test_results_have_html():
    result = attnfuzz.check(reference.double_scale, cases=30)
    html = result._repr_html_()
    assert result.findings[0].title in html and "<table>" in html and "█" in html and "<script" not in html


def test_unittest():
    class Case(testcase.AttentionTestCase):
        def test_right(self):
            self.assertAttention(attention, cases=10)

        def test_wrong(self):
            self.assertAttention(reference.double_scale, cases=30)

        def test_nothing(self):
            self.assertAttention(attention, cases=0)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 3 and len(result.failures) == 2, result.failures
    assert {text for _, text in result.failures if "wrong output" in text or "nothing was tested" in text}
