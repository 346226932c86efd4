"""The CUDA targets where there is no GPU: told, skipped with a count, and never counted as passed; and their
emulation, which needs none."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from program import BUILD, ROOT, attnfuzz, summary

PLUGIN = BUILD / "plugins" / "attnfuzz_cuda.so"
FLASH = "cuda:flash"


def target_rows():
    return {row["name"]: row for row in json.loads(attnfuzz("targets", "--json", expect=0).stdout)}


ROWS = target_rows()
absent = pytest.mark.skipif(ROWS[FLASH]["available"], reason="there is a GPU")


def test_each_device_target_has_an_emulated_one():
    devices = {name.split(":")[1] for name in ROWS if name.startswith("cuda:")}
    assert devices == {name.split(":")[1] for name in ROWS if name.startswith("cuda-emu:")} >= {"flash", "paged-decode"}
    assert all(ROWS["cuda-emu:" + name]["available"] for name in devices)


@absent
def test_targets_says_why():
    reason = "no GPU here" if PLUGIN.exists() else "not built"
    assert reason in ROWS[FLASH]["missing"]
    line = next(line for line in attnfuzz("targets").stdout.splitlines() if line.startswith(FLASH + " "))
    assert "not available: " in line and reason in line


@absent
def test_a_run_skips_them_with_a_count(tmp_path):
    done = attnfuzz("run", "-t", FLASH, "-t", "cuda-emu:flash", "-t", "cuda:paged-decode", "--cases", 20,
                    "--no-corpus", "-o", tmp_path, expect=0)
    assert f"{FLASH}: skipped, no case was run: " in done.stdout
    assert "2 targets skipped" in done.stdout
    written = summary(tmp_path)
    assert [each["target"] for each in written["absent"]] == [FLASH, "cuda:paged-decode"]
    assert [each["target"] for each in written["targets"]] == ["cuda-emu:flash"]
    suites = {suite.get("name"): suite for suite in ElementTree.parse(tmp_path / "junit.xml").getroot()}
    assert suites[FLASH].get("skipped") == "1" and suites[FLASH].find("testcase/skipped") is not None
    assert suites["cuda-emu:flash"].get("skipped") == "0"


@absent
def test_a_replay_skips_them(tmp_path):
    attnfuzz("run", "-t", "mutant:cuda-offset-32", "--cases", 50, "--stop-after", 1, "--no-corpus", "-o", tmp_path,
             expect=1)
    case = next(tmp_path.glob("findings/*/case.json"))
    done = attnfuzz("replay", case, "-t", FLASH, "-t", "cuda-emu:flash", expect=0)
    assert f"skip  {case} on {FLASH}: " in done.stdout
    assert "1 judged, 0 failed" in done.stdout


ADAPTER = """REQUIRES = []

class Device:
    name, version, about, device = "stub:device", "1", "", "cuda"
    capabilities = {"features": ["dtype:f32", "layout:bhsd"]}

def targets():
    return [Device()]
"""


@absent
def test_python_targets_of_a_device_are_skipped_too(tmp_path):
    (tmp_path / "stub.py").write_text(ADAPTER)
    case = ROOT / "corpus" / "pytorch" / "sdpa-causal-top-left.case.json"
    stub = {"ATTNFUZZ_ADAPTERS": str(tmp_path)}
    done = attnfuzz("run", "-t", "stub:device", "--cases", 5, "--no-corpus", "-o", tmp_path / "out", expect=0, **stub)
    assert "stub:device: skipped, no case was run: no GPU here" in done.stdout
    assert [each["target"] for each in summary(tmp_path / "out")["absent"]] == ["stub:device"]
    done = attnfuzz("replay", case, "-t", "stub:device", expect=0, **stub)
    assert "0 judged, 0 failed" in done.stdout
    assert "no GPU here" in attnfuzz("shrink", case, "-t", "stub:device", expect=2, **stub).stderr


@absent
def test_the_worker_says_so_too():
    done = subprocess.run(["sh", "-c", f'exec "$0" worker {FLASH} 3>&1 4< /dev/null', BUILD / "attnfuzz"],
                          capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b'"missing"' in done.stdout


def test_a_file_that_is_no_plugin_is_named(tmp_path):
    other = tmp_path / "other.so"
    other.write_text("text")
    done = attnfuzz("targets", expect=0, ATTNFUZZ_CUDA_PLUGIN=str(other))
    assert "the CUDA plug-in does not load" in done.stdout


def test_a_race_that_does_no_harm_is_found_by_the_emulators_checker(tmp_path):
    race = ["run", "-t", "mutant:cuda-tile-not-awaited", "--limit", "kv_len=1", "--cases", 20, "--seed", 1,
            "--no-corpus", "-o", tmp_path]
    done = attnfuzz(*race, "--sanitize", "racecheck", expect=1)
    assert "Race reported between" in done.stdout and "__syncthreads() is missing" in done.stdout
    attnfuzz(*race, "--sanitize", "initcheck", "--limit", "head_dim=1", "--limit", "head_dim_v=1", expect=0)


def test_the_right_kernels_have_no_race(tmp_path):
    for tool in ("memcheck", "racecheck", "initcheck"):
        attnfuzz("run", "-t", "cuda-emu:flash", "-t", "cuda-emu:paged-decode", "--cases", 100, "--no-corpus",
                 "--sanitize", tool, "-o", tmp_path, expect=0)


def fake_sanitizer(folder, script):
    """A compute-sanitizer by that shell script, which finds the log's path in $log and the program in "$@"."""
    fake = folder / "compute-sanitizer"
    fake.write_text('#!/bin/sh\nwhile [ "$1" != --log-file ]; do shift; done\nlog=$2\nshift 4\n' + script)
    fake.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def sanitized(folder, plugin, *more, expect, **environment):
    return attnfuzz("run", "-t", plugin, "--cases", 3, "--no-corpus", "--max-shrink-tries", 0, "-o", folder / "out",
                    "--sanitize", "memcheck", *more, expect=expect, **environment)


def test_what_compute_sanitizer_says_is_part_of_the_finding(tmp_path):
    plugin = BUILD / "plugins" / "bad_none.so"
    if not plugin.exists():
        pytest.skip("built with targets_tests")
    path = fake_sanitizer(tmp_path, """printf '========= COMPUTE-SANITIZER\\n' > "$log"; ATTNFUZZ_TEST_LOG=$log exec "$@"\n""")
    done = sanitized(tmp_path, f"{plugin}:is_logged", expect=1, **path)
    assert "Invalid __shared__ read of size 4 bytes at kernel+# Address # is out of bounds" in done.stdout
    assert "reads beyond an array in shared memory" in done.stdout
    assert summary(tmp_path / "out")["targets"][0]["failed"] in (1, 2)  # of three cases
    done = sanitized(tmp_path, f"{plugin}:is_logged", expect=2, PATH="/nowhere")
    assert "expected compute-sanitizer on PATH, found none: it comes with the CUDA toolkit" in done.stderr


def test_what_the_sanitizer_says_before_the_first_case_is_no_finding(tmp_path):
    path = fake_sanitizer(tmp_path, 'printf "========= Error: Device not supported\\n=========\\n" > "$log"\nexec "$@"\n')
    done = sanitized(tmp_path, BUILD / "plugins" / "my_attention.so", expect=2, **path)
    assert "expected compute-sanitizer to run " in done.stderr and "Device not supported" in done.stderr
    path = fake_sanitizer(tmp_path, "echo no such option; exit 1\n")
    done = sanitized(tmp_path, BUILD / "plugins" / "my_attention.so", expect=2, **path)
    assert "no such option" in done.stderr


def test_the_sanitizer_has_time_to_write_what_it_saw_of_a_case_that_ended_the_process(tmp_path):
    plugin = BUILD / "plugins" / "bad_none.so"
    if not plugin.exists():
        pytest.skip("built with targets_tests")
    path = fake_sanitizer(tmp_path, """printf '========= COMPUTE-SANITIZER\\n' > "$log"
"$@"
sleep 0.5
printf '========= Invalid __global__ write of size 4 bytes\\n=========     at kernel+0x10\\n=========\\n' >> "$log"
""")
    done = sanitized(tmp_path, f"{plugin}:breaks", expect=1, **path)
    assert "Invalid __global__ write of size 4 bytes at kernel+#" in done.stdout
    written = summary(tmp_path / "out")
    assert written["targets"][0]["failed"] == 3 and len(written["findings"]) == 1  # each process's log is read anew


def test_a_target_of_a_gpu_is_not_run_in_process(tmp_path):
    device = attnfuzz("run", "-t", FLASH, "--in-process", "--cases", 1, "--no-corpus", "-o", tmp_path,
                      expect=0 if not ROWS[FLASH]["available"] else 2)
    assert "skipped" in device.stdout or "expected a target without a GPU" in device.stderr
    plugin = BUILD / "plugins" / "bad_none.so"
    if plugin.exists():
        done = attnfuzz("run", "-t", f"{plugin}:breaks", "--in-process", "--cases", 5, "--no-corpus", "-o", tmp_path, expect=2)
        assert 'this process can do no more after "CUDA error: unspecified launch failure"' in done.stderr


def test_sanitize_is_for_what_it_can_look_into(tmp_path):
    done = attnfuzz("run", "-t", "cpu:naive", "--sanitize", "memcheck", "-o", tmp_path, expect=2)
    assert "expected a plug-in, cuda: or cuda-emu: target, found cpu:naive" in done.stderr


def test_the_tables_of_the_document_come_from_what_was_run(tmp_path):
    attnfuzz("run", "-t", "cuda-emu:flash", "--cases", 30, "--no-corpus", "-o", tmp_path / "host" / "flash", expect=0)
    attnfuzz("run", "-t", "mutant:cuda-offset-32", "--cases", 100, "--seed", 1, "--stop-after", 1, "--no-corpus",
             "-o", tmp_path / "host-mutants" / "cuda-offset-32", expect=1)
    table = ROOT / "tools" / "gpu" / "host_table.py"
    done = subprocess.run([sys.executable, table, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| cuda-emu:flash | 30 |" in done.stdout and "| 30 | 0 | 0 |" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("| mutant:cuda-offset-32 |"))
    assert row.endswith("| batch 3 | yes | offset-wrapped |")


def test_an_error_that_ends_the_worker_is_one_finding_and_the_campaign_goes_on(tmp_path):
    plugin = BUILD / "plugins" / "bad_none.so"
    if not plugin.exists():
        pytest.skip("built with targets_tests")
    done = attnfuzz("run", "-t", f"{plugin}:breaks", "--cases", 5, "--no-corpus", "-o", tmp_path, expect=1)
    assert "CUDA error: unspecified launch failure" in done.stdout
    written = summary(tmp_path)
    assert written["targets"][0]["failed"] == 5 and len(written["findings"]) == 1
    assert written["findings"][0]["failure"] == "error"
    assert written["findings"][0]["causes"][0]["name"] == "launch-failure"
