"""The GPU run against what programs do on a machine that nobody has seen: they hang, crash, print rubbish."""
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from program import ROOT

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
elif part == "jax-cudnn":
    write(counts(len(pathlib.Path({out!r}, "results.jsonl").read_text().splitlines())))
"""


@pytest.fixture
def bundle(tmp_path):
    for folder in ("bin", "gpu", "out", "site"):
        (tmp_path / folder).mkdir()
    for package in ("torch", "triton", "jax", "transformers", "fla"):  # what is imported beforehand takes no time here
        (tmp_path / "site" / f"{package}.py").touch()
    for file in (ROOT / "tools" / "gpu").glob("*.py"):
        (tmp_path / "gpu" / file.name).write_bytes(file.read_bytes())
    program = tmp_path / "bin" / "attnfuzz"
    program.write_text(PROGRAM.format(python=sys.executable, out=str(tmp_path / "out")))
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
    done = subprocess.run(command(bundle, "--minutes", "0.4", "--only", "philox", "sdpa", "flex", "triton", "jax"),
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
def test_a_run_that_is_ended_leaves_its_rows_and_no_process(bundle):
    run = subprocess.Popen(command(bundle, "--minutes", "5", "--only", "philox", "jax", "sdpa"),
                           stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not (bundle / "out" / "pid").exists() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 128 + signal.SIGTERM
    finally:
        run.kill()
    pid = int((bundle / "out" / "pid").read_text())
    while not gone(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert gone(pid)
    assert rows(bundle)["philox"]["status"] == "no GPU here"


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


@no_gpu
def test_a_driver_that_does_not_answer_is_no_driver(bundle):
    device = bundle / "gpu" / "device.py"
    device.write_text(device.read_text()
                      .replace("def by_driver() -> dict:", "def by_driver() -> dict:\n    time.sleep(99)")
                      .replace("PATIENCE = 20.0", "PATIENCE = 0.5"))
    done = subprocess.run(command(bundle, "--minutes", "0.2", "--only", "philox"), capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.startswith("no GPU here: the driver gives no answer"), done.stdout + done.stderr
