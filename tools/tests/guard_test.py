"""Reads beyond an input, whose values are not used: they are found, by what they touch."""
import ctypes
import subprocess
import sys

import pytest
from program import BUILD, ROOT, attnfuzz, summary

READS_BEYOND = BUILD / "plugins" / "reads_beyond.so"
GUARD = BUILD / "plugins" / "attnfuzz_guard.so"

ADAPTER = """
import ctypes

import numpy as np

REQUIRES = ["numpy"]


class ByPointer:
    name, version, about = "by_pointer:past-end", "1", "attention over one key that reads an element behind k"
    capabilities = {"sizes": {n: [1, 32] for n in ("batch", "head_dim", "head_dim_v")}, "features": ["dtype:f32", "layout:bhsd"],
                    "equal": [["head_dim", "head_dim_v"]]}

    def run(self, case, tensors):
        k = tensors["k"]
        ctypes.c_float.from_address(k.ctypes.data + k.nbytes).value
        return [{"out": np.array(tensors["v"])}]


def targets():
    return [ByPointer()]
"""


def only_finding(out):
    (finding,) = summary(out)["findings"]
    return finding, (out / "findings" / finding["signature"] / "report.md").read_text()


@pytest.mark.skipif(not READS_BEYOND.exists(), reason="needs the tests' plug-ins")
@pytest.mark.parametrize("target, where", [("past_end", "k was read past its end"),
                                           ("before_start", "k was read before its start")])
def test_of_a_plugin(tmp_path, target, where):
    attnfuzz("run", "-t", f"{READS_BEYOND}:{target}", "--cases", 60, "--seed", 1, "--no-corpus", "-q", "-o", tmp_path, expect=1)
    finding, report = only_finding(tmp_path)
    assert finding["failure"] == "crash"
    assert where in report and "read-beyond-input" in report
    source, program = tmp_path / "findings" / finding["signature"] / "repro.cpp", tmp_path / "repro"
    subprocess.run(["c++", "-std=c++20", "-I", ROOT, source, "-o", program, "-ldl"], check=True)
    assert subprocess.run([program], capture_output=True).returncode == 1


def test_of_a_python_target_that_takes_pointers(tmp_path):
    (tmp_path / "by_pointer.py").write_text(ADAPTER)
    attnfuzz("run", "-t", "by_pointer:past-end", "--cases", 60, "--seed", 1, "--no-corpus", "-q", "-o", tmp_path / "out", expect=1,
             ATTNFUZZ_ADAPTERS=str(tmp_path))
    finding, report = only_finding(tmp_path / "out")
    assert finding["failure"] == "crash"
    assert "k was read past its end" in report


def test_a_fault_elsewhere_names_no_tensor():
    script = f"""
import ctypes
guard = ctypes.CDLL({str(GUARD)!r})
guard.attnfuzz_guard_report_faults()
ctypes.string_at(16)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -11 and done.stderr == ""
