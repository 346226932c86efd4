"""The GPU run against what programs do on a machine that nobody has seen: they hang, crash, print rubbish."""
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from types import SimpleNamespace

import pytest
from program import ROOT

sys.path.insert(0, str(ROOT / "tools" / "gpu"))
import device  # noqa: E402
import results  # noqa: E402
from steps import STEPS  # noqa: E402

no_gpu = pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="there is a GPU")

# In attnfuzz's place. It knows its part by the folder that it is to write to: WORK/PART/out.
PROGRAM = """#!{python}
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
part = folder.parent.name
def write(text):
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(text)
def counts(cases):
    row = {{"cases": cases, "passed": cases, "failed": 0, "skipped": 0, "worst_ratio": 0.5, "seconds": 1,
           "features": {{"dtype:f32": cases}}}}
    return json.dumps({{"targets": [row], "findings": []}})
if part == "sdpa-flash":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pathlib.Path({out!r}, "pid").write_text(str(os.getpid()))
    time.sleep(1000)
elif part == "sdpa-efficient":
    print("on the way", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
elif part == "sdpa-cudnn":
    rubbish = os.urandom(1 << 12) * 256
    while True:
        os.write(1, rubbish)
elif part == "sdpa-math":
    write('{{"targets": [')
elif part == "flex-kept":
    write('{{"targets": [{{"cases": "many"}}], "findings": 3}}')
elif part == "flex":
    os.write(1, b"\\n\\x1b[31m | \\xff\\x00 |")
    sys.exit(3)
elif part == "triton":
    print("attnfuzz: triton-attention:fla-parallel: not installed: triton")
    sys.exit(2)
elif part == "transformers-sdpa":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found = folder / "findings" / "mismatch-0123456789ab"
    found.mkdir(parents=True)
    (found / "case.json").write_text('{{"attnfuzz": 1, "problem": {{"dtype": "f32", "q_len": 3}}}}')
    (found / "report.md").write_text("# It is wrong\\n\\nmore\\n")
    (folder / "findings.sqlite").write_text("a store")
    print("transformers:llama-sdpa: 10%, 40 cases, 4 cases/s, 1 findings, 7 failed, 2 declined, 3 features covered", flush=True)
    time.sleep(1000)
elif "cuda:" in sys.argv[sys.argv.index("-t") + 1]:
    write(json.dumps({{"targets": [], "findings": [], "absent": [{{"target": part, "why": {absent!r}}}]}}))
elif part == "jax-cudnn":
    write(counts(len(pathlib.Path({out!r}, "results.jsonl").read_text().splitlines())))
"""

ABSENT = "no GPU here: CUDA driver version is insufficient for CUDA runtime version"
DRIVER = """import ctypes
whole = ctypes.CDLL
class Driver:
    def __getattr__(self, name): return lambda *given: 0
    def cuDeviceGetCount(self, count):
        count._obj.value = 1
        return 0
    def cuDeviceGetName(self, name, size, device):
        name.value = b"Fake H200"
        return 0
ctypes.CDLL = lambda name, *given, **more: Driver() if name == "libcuda.so.1" else whole(name, *given, **more)
"""  # as sitecustomize.py: of a device that the driver lists


@pytest.fixture
def bundle(tmp_path):
    for folder in ("bin", "gpu", "out", "site"):
        (tmp_path / folder).mkdir()
    for package in ("torch", "triton", "jax", "transformers", "fla"):  # what is imported beforehand takes no time here
        (tmp_path / "site" / f"{package}.py").touch()
    for file in (ROOT / "tools" / "gpu").glob("*.py"):
        (tmp_path / "gpu" / file.name).write_bytes(file.read_bytes())
    program = tmp_path / "bin" / "attnfuzz"
    program.write_text(PROGRAM.format(python=sys.executable, out=str(tmp_path / "out"), absent=ABSENT))
    program.chmod(0o755)
    return tmp_path


def command(bundle, *words):
    return [sys.executable, "-B", bundle / "gpu" / "run.py", "--out", bundle / "out", *words]


def rows(bundle):
    return {row["part"]: row for row in map(json.loads, (bundle / "out" / "results.jsonl").read_text().splitlines())}


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@no_gpu
def test_a_step_that_hangs_crashes_or_prints_rubbish_costs_the_others_nothing(bundle):
    (bundle / "bin" / "gpu_philox_check").write_text("not a program")
    done = subprocess.run(command(bundle, "--minutes", "0.9", "--only", "philox", "sdpa", "flex", "triton", "jax"),
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stdout + done.stderr
    status = {part: row["status"] for part, row in rows(bundle).items()}
    assert status["philox"] == "no GPU here"
    assert status["sdpa-flash"] == "out of time"
    assert status["sdpa-efficient"] == "failed: SIGSEGV: on the way"
    assert status["sdpa-cudnn"].startswith("failed: it printed more than 32 MiB")
    assert status["sdpa-math"].startswith("failed: its summary can't be read: JSONDecodeError")
    assert status["flex-kept"].startswith("failed: its summary can't be read: ")
    assert status["flex"].startswith("failed: exit 3: ") and status["flex"].isprintable()
    assert status["triton"] == "not here: not installed: triton"
    # Results are written as they come: when this part ran, the rows before it were there.
    assert rows(bundle)["jax-cudnn"]["status"] == "done" and rows(bundle)["jax-cudnn"]["cases"] == 8
    lines = (bundle / "out" / "table.md").read_text().splitlines()
    columns = {line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}
    assert columns == {12}, "a row of the table is broken"
    with tarfile.open(bundle / "out" / "details.tar") as tar:
        assert {"sdpa/log.txt", "sdpa/sdpa-efficient/log.txt", "jax/jax-cudnn/out/summary.json"} <= set(tar.getnames())
    assert gone(int((bundle / "out" / "pid").read_text()))


@no_gpu
def test_what_a_campaign_without_a_summary_had_written_comes_back(bundle):
    done = subprocess.run(command(bundle, "--minutes", "0.2", "--only", "transformers"), capture_output=True, text=True, timeout=60)
    row = rows(bundle)["transformers-sdpa"]
    assert row["status"] == "findings; it wrote no summary", done.stdout + done.stderr
    assert (row["cases"], row["failed"], row["skipped"], row["passed"]) == (40, 7, 2, 31)
    (finding,) = row["findings"]
    assert (finding["signature"], finding["failure"], finding["title"]) == ("mismatch-0123456789ab", "mismatch", "It is wrong")
    assert "| transformers:llama-sdpa | ? | mismatch | f32, q_len 3 |" in (bundle / "out" / "table.md").read_text()
    with tarfile.open(bundle / "out" / "details.tar") as tar:
        assert {f"transformers/transformers-sdpa/out/{name}" for name in ("findings.sqlite", "findings/mismatch-0123456789ab/report.md")} <= \
            set(tar.getnames())
    assert done.returncode == 3 and "not through: --only transformers runs them again" in done.stdout  # the later parts had no time


@no_gpu
def test_a_case_may_take_a_part_of_its_campaigns_time(bundle):
    subprocess.run(command(bundle, "--minutes", "4", "--only", "philox", "jax"), capture_output=True, timeout=60, check=True)
    words = (bundle / "out" / "current.log").read_text().split()
    timeout, time_ = (float(words[words.index(flag) + 1].removesuffix("s")) for flag in ("--timeout", "--time"))
    assert 5 < timeout < 0.75 * time_ < 180


@no_gpu
def test_results_of_an_earlier_run_are_kept_aside(bundle):
    for number in range(3):
        (bundle / "out" / "table.md").write_text(f"the table {number}")
        subprocess.run(command(bundle, "--minutes", "0.02"), stdout=subprocess.DEVNULL, timeout=60, check=False)
        assert (bundle / "out" / f"before-{number + 1}" / "table.md").read_text() == f"the table {number}"


@pytest.mark.parametrize(("name", "seconds", "limit"), [
    ("flex", 200, 100), ("flex", 100, 60), ("flex", 40, 30), ("flex", 4, 5), ("jax-cudnn", 40, 30), ("transformers-compiled", 40, 30),
    ("sdpa-flash", 40, 20), ("flash", 40, 12), ("flash", 4, 5)])
def test_a_case_of_a_target_that_compiles_may_take_a_minute(name, seconds, limit):
    (part,) = [part for step in STEPS for part in step.parts if part.name == name]
    assert part.patience(seconds) == limit


def ended(folder, summary=None, said="", asked=0, stopped=False, code=0):
    """What running.Running is of a process that has ended."""
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    return SimpleNamespace(process=SimpleNamespace(returncode=code), stopped=stopped, asked=asked, said=lambda: said,
                           last_line=lambda: said, seconds=lambda: 1.0, ending=lambda: f"exit {code}")


@pytest.mark.parametrize(("failed", "asked", "status"), [
    (0, 0, "not found in 40 cases"), (1, 0, "found"), (0, 2, "not found in 40 cases; the case at hand gave no answer")])
def test_a_target_that_is_wrong_on_purpose_is_found_or_not(tmp_path, failed, asked, status):
    counts = {"cases": 40, "passed": 40 - failed, "failed": failed, "skipped": 0, "worst_ratio": None, "seconds": 1, "features": {}}
    row = results.of_a_campaign(ended(tmp_path, {"targets": [counts], "findings": []}, asked=asked), tmp_path, "t", wrong=True)
    assert row["status"] == status
    assert "– |" in results.table({"device": {"missing": "none"}, "cpus": 1, "python": "3", "packages": {}},
                                  [results.row_of(STEPS[0], STEPS[0].parts[0], "t", "") | row])  # of no ratio


def test_failures_that_no_finding_tells_are_told(tmp_path):
    counts = {"cases": 9, "passed": 2, "failed": 7, "skipped": 0, "worst_ratio": 0.5, "seconds": 1, "features": {}}
    row = results.of_a_campaign(ended(tmp_path, {"targets": [counts], "findings": []}, stopped=True), tmp_path, "t")
    assert row["status"] == "failures, none of them shrunk in time"


@no_gpu
def test_without_time_the_run_is_not_through(bundle):
    done = subprocess.run(command(bundle, "--minutes", "0.02", "--only", "jax"), capture_output=True, text=True, timeout=60)
    assert rows(bundle)["jax-cudnn"]["status"] == "out of time" and done.returncode == 3


@no_gpu
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_ended_leaves_its_rows_and_no_process(bundle, number):
    run = subprocess.Popen(command(bundle, "--minutes", "5", "--only", "philox", "jax", "sdpa"),
                           stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not (bundle / "out" / "pid").exists() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        run.send_signal(number)
        assert run.wait(60) == 128 + number
    finally:
        run.kill()
    pid = int((bundle / "out" / "pid").read_text())
    while not gone(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert gone(pid)
    assert rows(bundle)["philox"]["status"] == "no GPU here"
    assert rows(bundle)["sdpa-flash"]["status"] == "out of time"  # it had written nothing
    with tarfile.open(bundle / "out" / "details.tar") as tar:
        assert "sdpa/sdpa-flash/log.txt" in tar.getnames()


@no_gpu
def test_under_nohup_a_lost_terminal_ends_nothing(bundle):
    run = subprocess.Popen(["nohup", *command(bundle, "--minutes", "0.3", "--only", "sdpa")], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (bundle / "out" / "pid").exists() and time.monotonic() < until:
        time.sleep(0.05)
    run.send_signal(signal.SIGHUP)
    assert run.wait(60) == 3
    assert rows(bundle)["sdpa-efficient"]["status"] == "failed: SIGSEGV: on the way"


@no_gpu
def test_steps_that_are_run_again_stand_beside_the_others(bundle):
    def run(*steps):
        subprocess.run(command(bundle, "--minutes", "0.2", "--only", *steps), capture_output=True, timeout=60,
                       check=True)

    run("philox", "jax")
    first = rows(bundle)
    (bundle / "out" / "details.tar").write_bytes(b"not an archive " * 100)
    run("triton")
    assert rows(bundle) == first | {"triton": rows(bundle)["triton"]}
    (bundle / "out" / "results.jsonl").write_text('{"step": "jax", "par')  # of a machine that went away
    run("jax")
    assert list(rows(bundle)) == ["jax-cudnn"]


GOOD = {"step": "sdpa", "target": "t", "seconds": 9.0, "status": "findings", "cases": 8000, "passed": 7999, "failed": 1, "skipped": 0,
        "worst_ratio": 0.5, "case_seconds": 8.0, "dtypes": {}, "findings": [
            {"signature": "mismatch-1", "failure": "mismatch", "causes": [], "found": "7 cases", "minimal": True, "case": {
                "problem": {"dtype": "f32"}}}]}
LATE = {"step": "sdpa", "part": "sdpa-flash", "target": "t", "seconds": 3.0, "status": "out of time"}
CUT_SHORT = GOOD | {"part": "sdpa-flash", "status": "stopped in time", "findings": []}


def sdpa_parts():
    return [part.name for step in STEPS if step.name == "sdpa" for part in step.parts]


@no_gpu
def test_a_run_again_that_is_ended_leaves_the_good_rows_of_before(bundle):
    here = device.device()
    good = {part: GOOD | {"part": part} for part in sdpa_parts()}
    (bundle / "out" / "machine.json").write_text(json.dumps({"device": here}))
    (bundle / "out" / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in good.values()) + '{"step": "jax", "par')
    run = subprocess.Popen(command(bundle, "--minutes", "5", "--only", "sdpa"), stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not (bundle / "out" / "pid").exists() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 128 + signal.SIGTERM
    finally:
        run.kill()
    assert rows(bundle) == good | {"sdpa-flash": good["sdpa-flash"] | {"again": "out of time"}}
    assert (bundle / "out" / "table.md").read_text().count("| findings (run again: out of time) |") == 1


@no_gpu
def test_a_device_that_cuda_can_not_use_is_a_failure(bundle):
    (bundle / "driver").mkdir()
    (bundle / "driver" / "sitecustomize.py").write_text(DRIVER)
    philox = bundle / "bin" / "gpu_philox_check"
    philox.write_text(f"#!/bin/sh\necho {ABSENT}\nexit 3\n")
    philox.chmod(0o755)
    done = subprocess.run(command(bundle, "--minutes", "1", "--only", "philox", "cases", "ours"), capture_output=True, text=True,
                          timeout=90, env=os.environ | {"PYTHONPATH": str(bundle / "driver")})
    assert done.stdout.startswith("Fake H200"), done.stdout + done.stderr
    status = {part: row["status"] for part, row in rows(bundle).items()}
    assert {"philox", "cases-flash", "flash"} <= status.keys() and set(status.values()) == {f"failed: {ABSENT}"}
    assert done.returncode == 3 and "not through: --only philox cases ours runs them again" in done.stdout


@no_gpu
def test_rows_of_another_device_do_not_stand_beside_ours(bundle):
    (bundle / "out" / "machine.json").write_text(json.dumps({"device": {"name": "A device"}}))
    (bundle / "out" / "results.jsonl").write_text(json.dumps(GOOD | {"part": "sdpa-math"}) + "\n")
    done = subprocess.run(command(bundle, "--minutes", "0.2", "--only", "philox"), capture_output=True, text=True, timeout=60)
    assert list(rows(bundle)) == ["philox"] and "the results of an earlier run are kept in" in done.stdout
    assert json.loads((bundle / "out" / "before-1" / "results.jsonl").read_text())["part"] == "sdpa-math"


@pytest.mark.parametrize(("old", "new", "kept"), [
    (GOOD, LATE, "old"), (GOOD, CUT_SHORT, "old"), (GOOD, LATE | {"status": "failed: SIGSEGV"}, "old"),
    (GOOD, GOOD | {"status": "findings; it wrote no summary", "cases": 9000}, "old"), (GOOD, LATE | {"status": "no GPU here"}, "old"),
    (GOOD, GOOD | {"status": "done", "cases": 40}, "new"), (CUT_SHORT, GOOD, "new"), (CUT_SHORT, CUT_SHORT | {"cases": 7}, "old"),
    (LATE, LATE | {"seconds": 0.0}, "old"), (LATE, LATE | {"status": "not here: no torch"}, "new"),
    (LATE | {"status": "failed: exit 1"}, LATE, "old"), (LATE | {"status": "failed: exit 1"}, {**LATE, "status": "done", "said": "x"}, "new")])
def test_a_row_is_replaced_only_by_one_that_tells_as_much(tmp_path, old, new, kept):
    """Of an earlier run, and of this one, whose late parts are run again at its end."""
    machine = {"device": {"missing": "none"}, "cpus": 1, "python": "3", "packages": {}}
    old, new = old | {"part": "sdpa-flash"}, new | {"part": "sdpa-flash"}
    first = results.Results(tmp_path, machine, None)
    first.add(old)
    first.add(new)
    assert first.rows == [{"old": old, "new": new}[kept]]
    first.new = {"sdpa-flash": old}
    first.add(old)
    second = results.Results(tmp_path, machine, ["sdpa"])
    assert second.rows == [old]
    second.add(new)
    assert second.rows == [{"old": old | {"again": new["status"]}, "new": new}[kept]]
    assert second.new == {"sdpa-flash": new}  # by which the run is through or not


@no_gpu
def test_a_driver_that_does_not_answer_is_no_driver(bundle):
    device = bundle / "gpu" / "device.py"
    device.write_text(device.read_text()
                      .replace("def by_driver() -> dict:", "def by_driver() -> dict:\n    time.sleep(99)")
                      .replace("PATIENCE = 20.0", "PATIENCE = 0.5"))
    done = subprocess.run(command(bundle, "--minutes", "0.2", "--only", "philox"), capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.startswith("no GPU here: the driver gives no answer"), done.stdout + done.stderr
