"""python -m attnfuzz probe: what it learns of functions and adapters that are right and wrong in known ways."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attnfuzz
from attnfuzz import _claims, _command, _core, _probe
from attnfuzz._probe import range_of

sys.path.insert(0, str(Path(__file__).parent))

KERNEL = """
import numpy as np
from reference import attention, mask_of_flags

def picky(q, k, v, causal=False, softcap=0.0, scale=None):
    \"\"\"Causal is bottom right; head_dim by 8; softcap is taken and forgotten; no float64.\"\"\"
    if q.shape[-1] % 8: raise ValueError(f"head_dim {q.shape[-1]} is not a multiple of 8")
    if q.dtype == np.float64: raise TypeError("float64 is not supported")
    i = np.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
    mask = (np.arange(k.shape[2]) <= i)[None, None] if causal else None
    with np.errstate(all="ignore"):
        return np.nan_to_num(attention(q, k, v, mask, scale=scale))

def tiled(q, k, v, causal=False, window=None, softcap=0.0):
    \"\"\"Wrong without an error: the second tile of 32 keys, a window's left end, and softcap, which is forgotten.\"\"\"
    i, j = np.arange(q.shape[2])[:, None], np.arange(k.shape[2])
    mask = (j < 32) | (j >= 34) | (i < 0)
    if causal: mask &= j <= i
    if window: mask &= (j > i - window[0]) & (j <= i + window[1])
    return attention(q, k, v, mask[None, None])

def broken(q, k, v):
    raise RuntimeError("no kernel image")
"""

ADAPTER = """
import numpy as np
REQUIRES = []
class Mine:
    name, version, capabilities = "shy:one", "1", {"features": ["dtype:f32", "layout:bhsd"]}
    def run(self, case, tensors):
        if case["problem"]["softcap"] or "sinks" in tensors: raise NotImplementedError("no")
        from reference import attention
        yield {"out": attention(tensors["q"], tensors["k"], tensors["v"], scale=case["problem"]["scale"])}
def targets():
    return [Mine()]
"""


def answers(case):
    return _core.answer(json.dumps(case), _claims.for_judging("f32", None))[0][0]


@pytest.mark.parametrize("word", ["rule:chunk", "rule:prefix", "rule:padding", "align:bottom_right",
                                  "fully_masked:nan"])
def test_a_case_for_a_feature_can_tell_it(word):
    sizes = {"batch": [2, 2], "num_heads": [3, 3], "q_len": [1, 12], "kv_len": [1, 12], "head_dim": [8, 8]}
    words = ["dtype:f32", "layout:bhsd", word, *_probe.COMPANIONS.get(word, [])]
    cases = list(_probe.cases_with(_probe.capabilities_of(sizes, words), word, 3))
    assert len(cases) == 3
    for case in map(json.loads, cases):
        assert not np.array_equal(answers(case), answers(_probe.otherwise(case, word)), equal_nan=True)


@pytest.fixture
def probe(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    (tmp_path / "shy.py").write_text(ADAPTER)
    path = os.pathsep.join([str(Path(attnfuzz.__file__).parent.parent), str(Path(__file__).parent)])
    environment = os.environ | {"PYTHONPATH": path, "ATTNFUZZ_ADAPTERS": str(tmp_path)}

    def run(*arguments):
        return subprocess.run([sys.executable, "-B", "-m", "attnfuzz", *arguments], cwd=tmp_path, env=environment,
                              capture_output=True, text=True)

    return run


def test_a_function(probe, tmp_path):
    done = probe("probe", "kernel:picky", "-o", "claims.json")
    assert done.returncode == 0, done.stderr
    claims = json.loads((tmp_path / "claims.json").read_text())
    assert claims["head_dim"][2] == 8 and claims["head_dim"][1] >= 64 and claims["q_len"][:2] == [1, 256], claims
    assert {"f32", "f16"} <= set(claims["dtype"]) and "f64" not in claims["dtype"]
    assert "align:bottom_right" in claims["features"] and "align:top_left" not in claims["features"]
    assert "scale" in claims["features"] and "softcap" not in claims["features"]
    assert "without effect: softcap" in done.stderr or "softcap: " in done.stderr
    assert "raised:         dtype:f64: TypeError: float64 is not supported" in done.stderr
    checked = probe("kernel:picky", "--claims", "claims.json", "--cases", "40")
    assert "Traceback" not in checked.stderr and "head_dim 8…" in checked.stdout, checked.stdout + checked.stderr


def test_wrong_answers_without_an_error_are_told_and_can_be_asked_for(probe, tmp_path):
    done = probe("probe", "kernel:tiled", "-o", "claims.json")
    left_out = json.loads((tmp_path / "claims.json").read_text())["left_out"]
    assert {what.partition(" ")[0] for what in left_out} == {"q_len", "rule:window", "softcap"}, done.stderr
    options = "--feature rule:window --feature softcap --size q_len=1:256 --size kv_len=1:256".split()
    told = done.stderr.splitlines()[-1].split()
    assert sorted(told[-8:]) == sorted(options), told
    green = probe("kernel:tiled", "--claims", "claims.json", "--cases", "20")
    assert green.returncode == 0 and "left out  q_len 33, 64" in green.stdout, green.stdout + green.stderr
    assert " kernel:tiled --claims claims.json --size " in done.stderr
    sizes = told[told.index("--size"):][:4]
    red = probe("kernel:tiled", "--claims", "claims.json", "--cases", "200", *sizes)
    assert red.returncode == 1 and " kv33 " in red.stdout, red.stdout + red.stderr
    assert "left out  rule:window; softcap: " in red.stdout


def test_an_adapter(probe):
    done = probe("probe", "shy:one")
    assert done.returncode == 0, done.stderr
    capabilities = json.loads(done.stdout)
    assert {"dtype:f32", "scale"} <= set(capabilities["features"]) and "softcap" not in capabilities["features"]
    known = ("rule:", "align:", "fully_masked:")  # it sees all keys, whatever is asked
    assert [word for word in capabilities["features"] if word.startswith(known)] == []
    assert "softcap: NotImplementedError: no" in done.stderr
    _core.capabilities(done.stdout, "probed")  # can be read


def test_what_is_never_right_is_an_error(probe):
    done = probe("probe", "kernel:broken")
    assert done.returncode == 2 and "no kernel image" in done.stderr and not done.stdout


def test_commands_are_told_as_they_were_called(monkeypatch):
    monkeypatch.setenv("ATTNFUZZ", "/opt/attnfuzz")
    assert [_command.called(name) for name in ("check", "probe")] == ["attnfuzz check", "attnfuzz probe"]
    monkeypatch.delenv("ATTNFUZZ")
    assert [_command.called(name) for name in ("check", "probe")] == ["python -m attnfuzz", "python -m attnfuzz probe"]


@pytest.mark.parametrize("good, expected", [([1, 2, 3, 4], [1, 4]), ([8, 16, 32], [8, 32, 8]), ([16], [16, 16]),
                                            ([1, 4], [1, 1])])
def test_ranges(good, expected):
    assert range_of(good, [1, 2, 3, 4, 8, 16, 32, 33]) == expected
