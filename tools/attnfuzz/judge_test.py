"""`attnfuzz judge` on recordings written here by hand, and shrinking of given tensors."""

import json
import os
import struct
import subprocess

import numpy as np
import pytest

ATTNFUZZ = os.environ["ATTNFUZZ"]
DTYPES = {"float32": "F32", "float16": "F16", "bool": "BOOL"}


def attnfuzz(*arguments, **options):
    return subprocess.run([ATTNFUZZ, *map(str, arguments)], capture_output=True, text=True, **options)


def save(path, tensors):
    """A safetensors file."""
    header, at = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": DTYPES[str(tensor.dtype)], "shape": tensor.shape, "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(t).tobytes() for t in tensors.values()))


def attention(q, k, v, seen):
    scores = np.where(seen, q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]), -np.inf)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True) @ v


def case_text(q_len, kv_len, rules, given, dim=8):
    return json.dumps({
        "attnfuzz": 1,
        "problem": {"batch": 1, "num_heads": 2, "num_kv_heads": 2, "q_len": q_len, "kv_len": kv_len, "head_dim": dim, "head_dim_v": dim,
                    "dtype": "f32", "layout": "bhsd", "scale": None, "softcap": 0, "sinks": False, "memory_kv": 0, "head_map": "grouped",
                    "bias_order": "after_softcap", "fully_masked": "zero", "mask": {"align": "bottom_right", "rules": rules}},
        "data": {"given": given}})


CAUSAL = {"rule": "causal"}
WINDOW = {"rule": "window", "left": 2, "right": 0}


@pytest.fixture
def recording(tmp_path):
    """Two layers of a model with a window of 3 keys in layer 1, and a prefill of 5 tokens. Returns the function that writes it."""
    random = np.random.default_rng(1)
    q, k, v = (random.standard_normal((1, 2, 5, 8)).astype(np.float32) for _ in range(3))
    seen = np.tril(np.ones((5, 5), bool))
    calls = tmp_path / "rec" / "calls"
    calls.mkdir(parents=True)

    def write(wrong=0.0, config=None):
        entries = []
        for layer in range(2):
            out = attention(q, k, v, seen).astype(np.float32)
            out[0, 1, 4, 3] += wrong * layer
            save(calls / f"{layer}.safetensors", {"q": q, "k": k, "v": v})
            save(calls / f"{layer}.outputs.safetensors", {"out": out})
            (calls / f"{layer}.case.json").write_text(case_text(5, 5, [CAUSAL], f"{layer}.safetensors"))
            entries.append({"case": f"calls/{layer}.case.json", "outputs": f"calls/{layer}.outputs.safetensors", "layer": layer, "step": 0,
                            "function": "torch.nn.functional.scaled_dot_product_attention", "where": "serve.py:41 in attend"})
        if config:
            (calls / "1.config.case.json").write_text(case_text(5, 5, config, "1.safetensors"))
            entries[1]["by_config"] = "calls/1.config.case.json"
        (tmp_path / "rec" / "recording.json").write_text(json.dumps(
            {"attnfuzz_recording": 1, "packages": {"torch": "2.9.0"}, "calls": entries}))
        return tmp_path / "rec"

    return write


def test_right_calls_pass(recording):
    done = attnfuzz("judge", recording(), "--against", "cpu:tiled")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 judged, 0 wrong; cpu:tiled: 2 judged, 0 wrong" in done.stdout


def test_a_recording_without_calls_is_no_pass(recording):
    folder = recording()
    (folder / "recording.json").write_text(json.dumps({"attnfuzz_recording": 1, "packages": {}, "calls": []}))
    done = attnfuzz("judge", folder)
    assert done.returncode == 3 and "no call was judged" in done.stderr, done.stdout + done.stderr


def test_a_wrong_call_is_named(recording, tmp_path):
    done = attnfuzz("judge", recording(wrong=0.25), "--out", tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rec/calls/1.case.json" in done.stdout and "serve.py:41 in attend" in done.stdout
    assert "2 judged, 1 wrong" in done.stdout
    assert list((tmp_path / "out" / "findings").glob("*/report.md"))
    calls = json.loads(attnfuzz("judge", recording(wrong=0.25), "--json").stdout)["calls"]
    assert [call["asked"]["verdict"] for call in calls] == ["pass", "fail:mismatch"]


def test_what_the_configuration_says_is_judged_too(recording):
    folder = recording(config=[CAUSAL, WINDOW])
    done = attnfuzz("judge", folder)
    assert done.returncode == 1 and "the model's configuration says something else" in done.stdout, done.stdout + done.stderr
    call = json.loads(attnfuzz("judge", folder, "--json").stdout)["calls"][1]
    assert call["asked"]["verdict"] == "pass" and call["by_config"]["verdict"] == "fail:ignored"
    assert attnfuzz("judge", recording(config=[CAUSAL])).returncode == 0


@pytest.mark.parametrize(("file", "change", "words"), [
    ("recording.json", lambda text: text.replace(b"calls/0.case", b"../0.case"), "/calls/0/case: expected the name of a file below"),
    ("calls/0.safetensors", lambda data: data[:-1], "0.safetensors: /v/data_offsets: expected a begin and an end within"),
    ("calls/0.safetensors", lambda data: b"\xff" * 8 + data[8:], "0.safetensors: expected a safetensors file with a header of at most"),
    ("calls/0.safetensors", lambda data: data.replace(b'"q"', b'"Q"'), 'expected only the tensors q, k, v'),
    ("calls/0.outputs.safetensors", lambda data: data.replace(b'"out"', b'"lse"'), "0.outputs.safetensors: /lse: expected only the outputs"),
    ("calls/0.case.json", lambda text: text.replace(b'"kv_len": 5', b'"kv_len": 6'), "/k/shape: expected [1, 2, 6, 8], found [1, 2, 5, 8]"),
])
def test_a_broken_recording_is_wrong_input(recording, file, change, words):
    path = recording() / file
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    done = attnfuzz("judge", path.parents[len(file.split("/")) - 1])
    assert done.returncode == 2 and words in done.stderr, done.stdout + done.stderr


def test_every_command_takes_a_recorded_call(recording, tmp_path):
    case = recording() / "calls" / "0.case.json"
    assert "Data: given tensors" in attnfuzz("show", case).stdout
    done = attnfuzz("replay", case, "-t", "cpu:tiled", "-t", "cpu:naive", "--isolate")
    assert done.returncode == 0 and "2 judged, 0 failed" in done.stdout, done.stdout + done.stderr
    case.write_text(case.read_text().replace('"0.safetensors"', '"9.safetensors"'))
    done = attnfuzz("show", case)
    assert done.returncode == 2 and "9.safetensors: expected a readable safetensors file" in done.stderr


ADAPTER = """
import numpy as np

REQUIRES = []


class Target:
    version = "1"
    capabilities = {"sizes": {"batch": [1, 2], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 8], "kv_len": [1, 8],
                              "head_dim": [1, 8], "head_dim_v": [1, 8]},
                    "features": ["dtype:f32", "layout:bhsd", "rule:causal", "align:bottom_right", "align:top_left", "cross"],
                    "equal": [["num_heads", "num_kv_heads"]]}

    def __init__(self, name, change):
        self.name, self.change = name, change

    def run(self, case, tensors):
        q, k, v = (tensors[name].astype(np.float64) for name in "qkv")
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        if "mask" in tensors:
            scores = np.where(tensors["mask"] != 0, scores, -np.inf)
        largest = scores.max(axis=-1, keepdims=True)
        p = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
        total = p.sum(axis=-1, keepdims=True)
        out = (p / np.where(total == 0, 1, total)) @ v
        return [{"out": self.change(out, scores, v).astype(np.float32)}]


def targets():
    def peaked(out, scores, v):
        return np.where(scores.max(axis=-1, keepdims=True) > 20, 0, out)

    def late(out, scores, v):
        return out if v.shape[2] < 4 else out + 1

    def last_bit(out, scores, v):
        return out.astype(np.float32) * np.float32(1 + 2.0**-23)

    return [Target("pair:right", lambda out, scores, v: out), Target("pair:peaked", peaked), Target("pair:late", late),
            Target("pair:last-bit", last_bit)]
"""


@pytest.fixture
def adapters(tmp_path):
    (tmp_path / "pair.py").write_text(ADAPTER)
    return os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)}


def test_shrink_keeps_the_numbers_that_matter(adapters, tmp_path):
    """Only real tensors have a score above 20 here: generated ones do not show the bug."""
    random = np.random.default_rng(2)
    q, k, v = (random.standard_normal((1, 2, 5, 8)).astype(np.float32) for _ in range(3))
    q[0, 1, 3] *= 12
    k[0, 1, 2] = q[0, 1, 3]
    save(tmp_path / "x.safetensors", {"q": q, "k": k, "v": v})
    case = tmp_path / "x.case.json"
    case.write_text(case_text(5, 5, [CAUSAL], "x.safetensors"))
    done = attnfuzz("shrink", case, "-t", "pair:peaked", env=adapters)
    assert done.returncode == 1, done.stdout + done.stderr
    least = json.loads(done.stdout)
    assert [least["problem"][size] for size in ("num_heads", "q_len", "head_dim_v")] == [1, 1, 1]
    assert least["problem"]["kv_len"] <= 2  # with one key the output would be that of another fault too
    given = least["data"]["given"]
    assert len(given["q"]) == least["problem"]["head_dim"] <= 2
    assert sum(map(len, given.values())) <= 8 and len(done.stdout.splitlines()) <= 30
    (tmp_path / "least.case.json").write_text(done.stdout)
    assert attnfuzz("replay", tmp_path / "least.case.json", "-t", "pair:peaked", env=adapters).returncode == 1
    assert attnfuzz("replay", tmp_path / "least.case.json", "-t", "pair:right", env=adapters).returncode == 0
