"""The GPU run without a GPU: a bundle of this build, in an environment that has nothing of it."""
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time

import pytest
from program import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tools" / "gpu"))
import cases  # noqa: E402
import table  # noqa: E402
from steps import STEPS  # noqa: E402


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """As tools/gpu_bundle.sh lays it out, of the programs that this build has: its own links keep their libraries."""
    dir = tmp_path_factory.mktemp("bundle")
    (dir / "bin").mkdir()
    shutil.copy(BUILD / "attnfuzz", dir / "bin")
    for name in ("gpu_philox_check", "gpu_oracle_gflops"):
        if (BUILD / name).exists():
            shutil.copy(BUILD / name, dir / "bin")
        else:  # built without nvcc: they'd say the same
            (dir / "bin" / name).write_text("#!/bin/sh\necho no GPU here\nexit 3\n")
            (dir / "bin" / name).chmod(0o755)
    shutil.copytree(ROOT / "targets" / "python", dir / "share" / "attnfuzz" / "targets" / "python",
                    ignore=shutil.ignore_patterns("__pycache__", "tests"))
    shutil.copytree(ROOT / "tools" / "gpu", dir / "gpu", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tools" / "gpu" / "run.sh", dir / "run.sh")
    return dir


def run(bundle, out, *arguments, expect=0, adapters=None):
    """With nothing in the environment but a plain PATH and this interpreter as python3."""
    tools = bundle / "python"
    tools.mkdir(exist_ok=True)
    (tools / "python3").unlink(missing_ok=True)
    (tools / "python3").symlink_to(sys.executable)
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}
    if adapters:
        environment["ATTNFUZZ_ADAPTERS"] = str(adapters)
    done = subprocess.run(["/bin/sh", bundle / "run.sh", "--out", out, *map(str, arguments)], env=environment, capture_output=True, text=True,
                          cwd="/", timeout=300)
    assert expect is None or done.returncode == expect, done.stdout + done.stderr
    return done


def rows(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


no_gpu = pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="there is a GPU")

IN_TIME = ("findings", "failures, none of them shrunk in time", "stopped in time", "out of time")  # by how busy this machine is
GIVEN_UP = "; the case at hand gave no answer"

ADAPTER = """import numpy as np
REQUIRES = ["numpy"]
ANSWERS = 1 << 60

class Stub:
    version, about = "1", ""
    capabilities = {"sizes": {"q_len": [1, 9], "kv_len": [1, 9]}, "features": ["dtype:f32", "layout:bhsd"]}
    calls = 0
    def __init__(self, name): self.name = name
    def run(self, case, tensors):
        self.calls += 1
        return [{"out": np.zeros_like(tensors["q"])}] if self.calls <= ANSWERS and HANGS not in self.name else __import__("time").sleep(99)

def targets(): return [Stub(name) for name in NAMES]
"""


@no_gpu
def test_without_a_gpu_it_goes_through_with_stand_ins(bundle, tmp_path):
    """PyTorch is a stub here whose outputs are wrong; JAX is missing; one package hangs."""
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    names = ["torch:sdpa-flash", "torch:sdpa-math"]
    (adapters / "torch.py").write_text(ADAPTER.replace("NAMES", repr(names)).replace("HANGS", '"sdpa-math"'))
    (adapters / "jax.py").write_text('REQUIRES = ["a-package-that-is-not-here"]\ndef targets(): return []\n')
    done = run(bundle, tmp_path / "out", "--minutes", 0.45, "--only", "philox", "ours", "sdpa", "mutants", "jax", "sanitizer",
               adapters=adapters, expect=None)
    status = {row["part"]: row["status"] for row in rows(tmp_path / "out")}
    assert done.returncode == (3 if "out of time" in status.values() else 0), done.stdout + done.stderr
    assert status["philox"] == status["flash"] == status["mutant-value-stride"] == "no GPU here"
    assert status["sdpa-flash"].removesuffix(GIVEN_UP) in IN_TIME
    assert status["jax-cudnn"] in ("not here: not installed: a-package-that-is-not-here", "out of time")
    assert status["sdpa-math"].removesuffix(GIVEN_UP) in IN_TIME  # and what comes after it was run
    assert not any(word.startswith("failed") for word in status.values())
    lines = done.stdout.splitlines()
    assert lines[0].startswith("no GPU here")
    told = [line.split()[1] for line in lines if line.startswith("[")]  # what ran out of time may come again
    assert told[:6] == ["philox:", "ours:", "sdpa:", "mutants:", "jax:", "sanitizer:"]
    table_text = (tmp_path / "out" / "table.md").read_text()
    assert "| ours | each of" in table_text
    late = all(row["status"] == "out of time" and "cases" not in row for row in rows(tmp_path / "out") if row["step"] == "sdpa")
    assert ("| sdpa | each of 4 |" if late else "| sdpa | torch:sdpa-flash |") in table_text
    with tarfile.open(tmp_path / "out" / "details.tar") as tar:
        names = tar.getnames()
    assert "sdpa/log.txt" in names and "sdpa/sdpa-flash/log.txt" in names
    assert not any(name.endswith(".sqlite") for name in names)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"machine.json", "results.jsonl", "table.md", "current.log", "details.tar"}

    # Again, one step alone: the others' rows stay.
    (adapters / "jax.py").write_text(ADAPTER.replace("NAMES", "['jax:dot-product-attention']").replace("HANGS", "'none'"))
    run(bundle, tmp_path / "out", "--minutes", 0.2, "--only", "jax", adapters=adapters, expect=None)
    again = {row["part"]: row["status"] for row in rows(tmp_path / "out")}
    (jax,) = [row for row in rows(tmp_path / "out") if row["part"] == "jax-cudnn"]
    assert jax.get("again", again.pop("jax-cudnn")).removesuffix(GIVEN_UP) in IN_TIME
    assert again == {part: word for part, word in status.items() if part != "jax-cudnn"}


@no_gpu
def test_what_was_found_before_a_hang_comes_back(bundle, tmp_path):
    """A target that is wrong for 40 calls of each process and then hangs, so that no finding is ever shrunk to its end."""
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    (adapters / "jax.py").write_text(ADAPTER.replace("NAMES", "['jax:dot-product-attention']").replace("HANGS", "'none'")
                                     .replace("1 << 60", "40"))
    run(bundle, tmp_path / "out", "--minutes", 0.6, "--only", "jax", adapters=adapters)
    (row,) = rows(tmp_path / "out")
    assert row["status"].removesuffix(GIVEN_UP) == "findings"
    assert row["cases"] >= row["failed"] >= 1 and row["findings"]
    assert row["findings"][0]["case"]["problem"]["dtype"] == "f32"
    assert "| jax:dot-product-attention | 1 cases |" in (tmp_path / "out" / "table.md").read_text()


def test_wrong_usage(bundle, tmp_path):
    assert "invalid choice: 'sdpb'" in run(bundle, tmp_path, "--only", "sdpb", expect=2).stderr
    for minutes in (0, "nan", "inf", -1):
        assert "expected --minutes above 0" in run(bundle, tmp_path, "--minutes", minutes, expect=2).stderr
    (tmp_path / "file").write_text("mine")
    assert "file: expected a folder that can be written to" in run(bundle, tmp_path / "file", expect=2).stderr
    assert (tmp_path / "file").read_text() == "mine"
    assert run(bundle, tmp_path, "--list").stdout.count("\n") == len(STEPS)


@pytest.mark.parametrize("name", ["run.sh", "a.txt"])
def test_a_folder_that_is_no_bundle_is_left(tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = subprocess.run([ROOT / "tools" / "gpu_bundle.sh", tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "expected a new folder, an empty one, or an earlier bundle" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_device_cases_are_claimed_and_right(tmp_path):
    """By the emulation of each target; the small ones are run too, in no more seconds than passed."""
    from program import attnfuzz, summary

    made = cases.cases()
    # What no target claims: f64 is the oracle's alone, of head_dim up to 128 and without a cache.
    assert not [name for name, case in made.items() if case["problem"]["dtype"] == "f64"
                and (case["problem"]["head_dim"] > 128 or "cache" in case)]
    cases.write(tmp_path / "all")
    small = tmp_path / "small"
    small.mkdir()
    for name, case in made.items():
        if case["problem"]["head_dim"] == 64 and name.split("-")[0] in ("one", "capped", "small"):
            (small / f"{name}.case.json").write_text(json.dumps(case))
    attnfuzz("corpus", "stats", tmp_path / "all", expect=0)  # each is a case
    counts = {}
    for target in ("flash", "oracle", "paged-decode"):
        started = time.monotonic()
        attnfuzz("run", "-t", f"cuda-emu:{target}", "--corpus", small, "--cases", 0, "--format", "json", "-o", tmp_path / target, expect=0)
        row = summary(tmp_path / target)["targets"][0]
        assert row["seconds"] <= time.monotonic() - started
        counts[target] = row["passed"]
    assert counts == {"flash": 6, "oracle": 2, "paged-decode": 3}


FINDING = {"signature": "mismatch-123456789abc", "failure": "mismatch", "causes": ["kv-heads"], "title": "wrong", "found": "7 cases",
           "minimal": True, "version": "2"}
ROW = {"step": "sdpa", "part": "sdpa-flash", "target": "torch:sdpa-flash-cuda", "seconds": 3.0, "status": "findings", "cases": 1000,
       "passed": 990, "failed": 10, "skipped": 0, "worst_ratio": 0.25, "case_seconds": 2.0, "dtypes": {"f16": 1000}}
MACHINE = {"cpus": 2, "python": "3.12", "packages": {"torch": "2"}}


@pytest.mark.parametrize("said", [{"status": "failed: exit 1: no image", "said": "no image"}, {"status": "done", "said": "no numbers"},
                                  {"status": "no GPU here"}])
@pytest.mark.parametrize("part", ["gflops-oracle", "gflops-torch"])
def test_a_program_that_gives_no_numbers_has_a_row(part, said):
    ok = {"step": "gflops", "part": "gflops-oracle", "target": "", "seconds": 1, "status": "done", "said": '{"1024": 10.5}'}
    all_rows = [each for each in (ok, ok | {"part": "gflops-torch"}) if each["part"] != part]
    text = table.table(MACHINE | {"device": {"missing": "no GPU here"}}, [*all_rows, ok | {"part": part, "said": ""} | said])
    (line,) = [line for line in text.splitlines() if line.startswith(f"| gflops | {part} |")]
    assert said["status"] in line and (said.get("said") or "") in line
    assert "| 1024 |" in text


def test_a_rehearsal_does_not_replace_the_table_of_a_device(tmp_path, monkeypatch, capsys):
    device = {"name": "A device", "capability": "9.0", "driver": "580.1", "cuda": "13.0", "memory": "1 MiB"}
    update(tmp_path, monkeypatch, device, [ROW])
    out, document = tmp_path / "out", tmp_path / "root" / "docs" / "gpu.md"
    (out / "machine.json").write_text(json.dumps(MACHINE | {"device": {"missing": "no GPU here"}}))
    before = document.read_text()
    assert table.main(["--update", str(out)]) == 2
    assert "the table of a rehearsal would replace that of a device" in capsys.readouterr().err
    assert document.read_text() == before


def update(folder, monkeypatch, machine, all_rows):
    """What table.py makes of a run's folder: the document, and the cases by name."""
    out, root = folder / "out", folder / "root"
    out.mkdir(parents=True)
    (out / "machine.json").write_text(json.dumps(MACHINE | {"device": machine}))
    (out / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in all_rows))
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "gpu.md").write_text(f"Before.\n{table.BEGIN}\nold\n{table.END}\nAfter.\n")
    monkeypatch.setattr(table, "ROOT", root)
    assert table.main(["--update", str(out)]) == 0
    text = (root / "docs" / "gpu.md").read_text()
    assert text.startswith("Before.") and text.endswith("After.\n") and "old" not in text
    return text, {file.name: file for file in (root / "corpus" / "gpu").glob("*")}


def test_the_document_and_the_corpus_come_from_what_was_run(tmp_path, monkeypatch):
    from program import attnfuzz

    case = cases.cases()["one-tile-f16-64"]
    row = ROW | {"findings": [FINDING | {"case": case}], "gpu_percent": 12.0}
    mutant = row | {"step": "mutants", "target": "cuda:cuda-offset-32", "findings": [FINDING | {"signature": "mutant", "case": case}]}
    programs = [{"step": "philox", "part": "philox", "target": "", "seconds": 1, "status": "done", "said": "0 of 9 elements have other bits"},
                {"step": "gflops", "part": "gflops-oracle", "target": "", "seconds": 1, "status": "done", "said": '{"1024": 10.5}'},
                {"step": "gflops", "part": "gflops-torch", "target": "", "seconds": 1, "status": "failed: no torch", "said": "no torch"}]
    device = {"name": "A device", "capability": "9.0", "driver": "580.1", "cuda": "13.0", "memory": "1 MiB"}
    text, kept = update(tmp_path, monkeypatch, device, [row, mutant, *programs])
    assert "On A device, compute capability 9.0, driver 580.1, CUDA 13.0" in text
    assert "| sdpa | torch:sdpa-flash-cuda | 1000 | f16 1000 | 990 | 10 | 0 | 500 | 12 % | 0.25 | findings |" in text
    assert "philox: 0 of 9 elements have other bits" in text and "| 1024 | 10.5 | – |" in text
    assert "| gflops | gflops-torch | | | | | | | | | failed: no torch |" in text
    assert list(kept) == ["torch-sdpa-flash-cuda-mismatch-123456789abc.case.json"]
    (file,) = kept.values()
    assert json.loads(file.read_text())["about"] == "found with torch:sdpa-flash-cuda 2 on A device: mismatch"
    attnfuzz("replay", file, "-t", "cuda-emu:flash", expect=0)  # it is a case


def test_a_rehearsal_is_told_as_one(tmp_path, monkeypatch):
    row = ROW | {"target": "torch:sdpa-flash", "findings": [FINDING | {"case": cases.cases()["one-tile-f16-64"]}]}
    absent = {"step": "ours", "part": "flash", "target": "cuda:flash", "seconds": 0.0, "status": "no GPU here"}
    text, kept = update(tmp_path, monkeypatch, {"missing": "no GPU here: no driver"}, [absent, row])
    assert "A rehearsal; no GPU here: no driver" in text and "nothing here ran on a device" in text
    assert "| ours | cuda:flash | | | | | | | | | no GPU here |" in text
    assert "without a GPU" in json.loads(kept["torch-sdpa-flash-mismatch-123456789abc.case.json"].read_text())["about"]


def test_findings_of_one_signature_are_all_kept(tmp_path, monkeypatch):
    small, large = cases.cases()["one-tile-f16-64"], cases.cases()["tiles-f16-64"]
    first = ROW | {"findings": [FINDING | {"case": large}]}
    all_rows = [first, first | {"part": "again"}, ROW | {"findings": [FINDING | {"case": small}]}, first | {"target": "torch:sdpa-math-cuda"}]
    _, kept = update(tmp_path, monkeypatch, {"missing": "no GPU here"}, all_rows)
    lengths = {name: json.loads(file.read_text())["problem"]["q_len"] for name, file in kept.items()}
    assert lengths == {"torch-sdpa-flash-cuda-mismatch-123456789abc.case.json": large["problem"]["q_len"],
                       "torch-sdpa-flash-cuda-mismatch-123456789abc-2.case.json": small["problem"]["q_len"],
                       "torch-sdpa-math-cuda-mismatch-123456789abc.case.json": large["problem"]["q_len"]}


def test_a_timeout_of_a_target_that_compiles_is_told_and_not_kept(tmp_path, monkeypatch, capsys):
    late = FINDING | {"signature": "timeout-123456789abc", "failure": "timeout", "case": cases.cases()["one-tile-f16-64"]}
    row = ROW | {"findings": [late]}
    flex = row | {"step": "flex", "part": "flex", "target": "torch-flex:compiled-cuda", "compiles": True}
    text, kept = update(tmp_path, monkeypatch, {"missing": "no GPU here"}, [row, flex])
    assert list(kept) == ["torch-sdpa-flash-cuda-timeout-123456789abc.case.json"]
    assert "| torch-flex:compiled-cuda | 7 cases | timeout (its target compiles) |" in text
    assert "| torch:sdpa-flash-cuda | 7 cases | timeout |" in text
    assert "torch-flex:compiled-cuda: timeout-123456789abc is not kept: a timeout of a target that compiles" in capsys.readouterr().out


def test_two_campaigns_of_a_target_are_told_apart(tmp_path, monkeypatch):
    short = next(part for step in STEPS for part in step.parts if part.name == "flash-512")
    assert short.flags[-4:] == ("--limit", "q_len=512", "--limit", "kv_len=512")
    ours = {"step": "ours", "target": "cuda:flash"}
    text, _ = update(tmp_path, monkeypatch, {"name": "A device", "capability": "9.0", "driver": "1", "cuda": "13.0", "memory": "1 MiB"},
                     [ROW | ours | {"part": "flash"}, ROW | ours | {"part": "flash-512", "note": short.note}])
    assert "| ours | cuda:flash | 1000 |" in text and "| ours | cuda:flash, up to 512 | 1000 |" in text


def test_what_no_run_wrote_is_told_and_the_document_left(tmp_path, capsys):
    assert table.main(["--update", str(tmp_path)]) == 2
    assert "machine.json: expected a file that run.sh wrote" in capsys.readouterr().err
    (tmp_path / "machine.json").write_text(json.dumps(MACHINE | {"device": {"missing": "no GPU here"}}))
    (tmp_path / "results.jsonl").write_text("[1]\n")
    assert table.main(["--update", str(tmp_path)]) == 2
    assert "expected machine.json and results.jsonl as run.sh writes them" in capsys.readouterr().err
