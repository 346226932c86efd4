"""`attnfuzz fuzz`, with the harness of the clang build (preset fuzz) where that was built."""
import json
import os
import pathlib
import subprocess

import pytest
from program import BUILD, ROOT, attnfuzz, summary


def harness(name):
    for dir in (BUILD, ROOT / "build" / "fuzz"):
        if (dir / f"attnfuzz_{name}_fuzzer").exists():
            return dir / f"attnfuzz_{name}_fuzzer"
    pytest.skip("the libFuzzer harnesses are not built: cmake --preset fuzz")


def test_a_bug_is_found_shrunk_and_reported(tmp_path):
    out = tmp_path / "out"
    attnfuzz("fuzz", "-t", "specimen:gqa-tiled-heads", "--time", "8s", "--out", out, "-q", expect=1,
             ATTNFUZZ_FUZZER=str(harness("target")))
    findings = summary(out)["findings"]
    assert findings and all(f["shrink"]["minimal"] for f in findings)
    reach = summary(out)["targets"][0]["reach"]
    assert len(reach["reached"]) > reach["goals"] / 2  # the corpus begins with the cases that reach them
    cases = list((out / "corpus").iterdir())
    assert cases and all(json.loads(file.read_text())["attnfuzz"] == 1 for file in cases[:20])
    assert "cases cover" in attnfuzz("corpus", "stats", out / "corpus", expect=0).stdout


def test_a_crash_is_a_finding_and_fuzzing_goes_on(tmp_path):
    out = tmp_path / "out"
    attnfuzz("fuzz", "-t", "hostile:abort", "--time", "4s", "--out", out, "-q", expect=1,
             ATTNFUZZ_FUZZER=str(harness("target")))
    findings = summary(out)["findings"]
    assert [f["failure"] for f in findings] == ["crash"]
    assert len(list((out / "crashes").iterdir())) > 1


def test_without_the_harness_it_tells_how_to_build_it(tmp_path):
    done = attnfuzz("fuzz", "-t", "cpu:naive", "--time", "1s", "--out", tmp_path, expect=2,
                    ATTNFUZZ_FUZZER="/nowhere")
    assert "expected a program that can be run" in done.stderr


@pytest.mark.parametrize("name", ["case", "report"])
def test_readers_take_any_bytes(name, tmp_path):
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for k, file in enumerate(sorted((ROOT / "corpus").rglob("*.case.json"))[:20]):
        (seeds / str(k)).write_bytes((b"" if name == "case" else b"\1") + file.read_bytes())
    done = subprocess.run([harness(name), "-runs=3000", "-seed=1", f"-artifact_prefix={tmp_path}/", seeds],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-800:]


def test_a_failure_aborts_under_another_engine(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "ATTNFUZZ_FAILURES"}
    done = subprocess.run([harness("target"), "-runs=3000", "-seed=1", "-max_len=65536",
                           f"-artifact_prefix={tmp_path}/"], capture_output=True, text=True, timeout=300,
                          env={**environment, "ATTNFUZZ_TARGET": "specimen:gqa-tiled-heads"})
    assert done.returncode != 0
    assert list(pathlib.Path(tmp_path).glob("crash-*"))
    assert "specimen:gqa-tiled-heads: mismatch: " in done.stderr and '"attnfuzz": 1' in done.stderr
