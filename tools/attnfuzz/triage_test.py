"""`attnfuzz triage` and `attnfuzz issue` as they are called."""
import json
import os
import subprocess

import pytest

ATTNFUZZ = os.environ["ATTNFUZZ"]
TEXT = ('  File "/x/site-packages/transformers/models/llama4/modeling_llama4.py", line 9, in forward\n'
        "RuntimeError: The size of tensor a (8) must match the size of tensor b (2) at non-singleton dimension 0\n")


def attnfuzz(*arguments, text=""):
    return subprocess.run([ATTNFUZZ, *map(str, arguments)], input=text, text=True, capture_output=True)


def test_a_traceback_becomes_an_issue(tmp_path):
    done = attnfuzz("triage", "-", "--shapes", "q=2x4x8x16", "-t", "specimen:llama4-chunked-eager", "-o", tmp_path, text=TEXT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "tensor a (q_len=8) must match the size of tensor b (batch=2)" in done.stdout
    assert "gives the text with your numbers" in done.stdout
    (folder,) = tmp_path.iterdir()
    issue = (folder / "issue.md").read_text()
    assert "## Cause" in issue and "tensor a (8)" in issue
    replay = attnfuzz("replay", folder / "case-same-numbers.json", "-t", "specimen:llama4-chunked-eager")
    assert replay.returncode == 1 and "=8)" in replay.stdout and "=2)" in replay.stdout

    again = attnfuzz("issue", folder / "case.json", "-t", "specimen:llama4-chunked-eager")
    assert again.returncode == 1 and again.stdout.startswith("# specimen:llama4-chunked-eager: error")


def test_nothing_is_found_in_a_right_target(tmp_path):
    done = attnfuzz("triage", "-", "-t", "fixed:llama4-chunked-eager", "--cases", "5", "-o", tmp_path / "out", text=TEXT)
    assert done.returncode == 0 and "none gave this text" in done.stdout
    assert "the text was not found again" in done.stdout
    issue = (tmp_path / "out" / "issue.md").read_text()
    assert "**This text was not found again.**" in issue and "| 8 |" in issue


def test_a_callers_mistake_is_found_again_by_a_call(tmp_path):
    text = ("scores = scores + mask\nValueError: operands could not be broadcast together with shapes (2,8,63,63) (2,1,63,59) \n")
    done = attnfuzz("triage", "-", "-o", tmp_path / "out", text=text)
    if "not installed here" in done.stdout:
        pytest.skip("no interpreter with NumPy")
    assert done.returncode == 1 and "raises this text, with the same numbers" in done.stdout, done.stdout
    issue = (tmp_path / "out" / "issue.md").read_text()
    assert "scores + mask" in issue and "kv_len" in issue and "was not found again" not in issue


ADAPTER = """
class Stub:
    version = "1"
    capabilities = {"sizes": {n: [1, 8] for n in ("batch", "num_heads", "num_kv_heads", "q_len", "kv_len", "head_dim", "head_dim_v")},
                    "equal": [["num_heads", "num_kv_heads"], ["q_len", "kv_len"], ["head_dim", "head_dim_v"]],
                    "features": ["dtype:f32", "layout:bhsd", "rule:causal"]}

    def __init__(self, name, starts):
        self.name, self.starts = name, starts

    def load(self):
        if not self.starts:
            raise RuntimeError("no such driver")

    def run(self, case, tensors):
        b, _, n, _ = tensors["q"].shape
        if b != n:
            raise RuntimeError(f"The size of tensor a ({n}) must match the size of tensor b ({b}) at non-singleton dimension 0")
        return [{"out": tensors["v"]}]

def targets():
    return [Stub("transformers:llama4-first", False), Stub("transformers:llama4-second", True)]
"""


def test_a_target_that_does_not_start_is_skipped_unless_it_was_named(tmp_path):
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "transformers.py").write_text(ADAPTER)
    environment = os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path / "adapters")}
    words = [ATTNFUZZ, "triage", "-", "--shapes", "q=2x4x8x16", "-o", str(tmp_path / "out")]
    if subprocess.run([*words, "--no-run"], input=TEXT, text=True, capture_output=True, env=environment).returncode != 0:
        pytest.skip("no interpreter with NumPy")
    done = subprocess.run(words, input=TEXT, text=True, capture_output=True, env=environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "skipped    transformers:llama4-first: RuntimeError: no such driver" in done.stderr
    assert "ran        transformers:llama4-second 1" in done.stdout and "but with numbers of other axes" not in done.stdout
    named = subprocess.run([*words, "-t", "transformers:llama4-first"], input=TEXT, text=True, capture_output=True,
                           env=environment)
    assert named.returncode == 2 and "no such driver" in named.stderr


def test_json_without_running():
    done = attnfuzz("triage", "-", "--no-run", "--json", "-t", "cpu:naive", text=TEXT)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["package"] == "transformers" and found["searches"] == []
    assert [n["value"] for n in found["numbers"]] == [8, 2] and len(found["proposals"]) > 5


def test_wrong_input_is_named(tmp_path):
    for arguments, words in ((["triage", "-", "--shapes", "q=2y3"], "--shapes q=2y3"),
                             (["triage", tmp_path / "none.txt"], "none.txt"),
                             (["triage", "-", "-t", "cpu:nothing"], "cpu:nothing")):
        done = attnfuzz(*arguments, text=TEXT)
        assert done.returncode == 2 and words in done.stderr, done.stderr


def test_a_passing_case_makes_no_issue(tmp_path):
    case = tmp_path / "case.json"
    attnfuzz("triage", "-", "-t", "specimen:llama4-chunked-eager", "--shapes", "q=2x4x8x16", "-o", tmp_path / "out", text=TEXT)
    case = next((tmp_path / "out").iterdir()) / "case.json"
    done = attnfuzz("issue", case, "-t", "cpu:naive")
    assert done.returncode == 0 and "passes" in done.stderr and done.stdout == ""
    bisect = tmp_path / "bisect.txt"
    bisect.write_text("nothing here\n")
    done = attnfuzz("issue", case, "-t", "specimen:llama4-chunked-eager", "--bisect", bisect)
    assert done.returncode == 2 and "bisect" in done.stderr
