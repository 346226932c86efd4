"""check(), replay() and Case on functions that are right and wrong in known ways."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import attnfuzz

sys.path.insert(0, str(Path(__file__).parent))
import reference
from reference import attention, double_scale, flags, mask_over_heads

CASE = {
    "attnfuzz": 1,
    "problem": {"batch": 2, "num_heads": 4, "num_kv_heads": 2, "q_len": 3, "kv_len": 5, "head_dim": 8, "head_dim_v": 8,
                "dtype": "f32", "layout": "bhsd", "scale": None, "softcap": 0, "sinks": False, "memory_kv": 0,
                "head_map": "grouped", "bias_order": "after_softcap", "fully_masked": "zero",
                "mask": {"align": "bottom_right", "rules": [{"rule": "causal"}]}},
    "data": {"seed": 7, "dist": "normal", "nonfinite": "none"},
}


def test_a_right_function_passes_with_every_option():
    result = attnfuzz.check(attention, cases=400, features=["gqa", "mqa", "head_dim_v", "data:large"])
    assert result and not result.findings, result
    assert (result.cases, result.passed, result.declined) == (400, 400, 0)
    wanted = {"rule:boolean", "rule:bias", "rule:alibi", "scale", "softcap", "sinks", "memory_kv", "gqa", "cross"}
    assert wanted <= set(result.covered)


def test_flags_are_told_as_flags():
    result = attnfuzz.check(flags, cases=300, align="top_left")
    assert result, result
    assert {"rule:causal", "rule:window", "rule:padding", "align:top_left"} <= set(result.covered)


def test_flags_of_another_alignment_come_as_a_mask():
    def fn(q, k, v, mask=None, causal=False):
        return attention(q, k, v, reference.mask_of_flags(q.shape[2], k.shape[2], causal) if causal else mask)

    result = attnfuzz.check(fn, cases=300, align="top_left")
    assert result, result
    assert {"align:top_left", "align:bottom_right"} <= set(result.covered)


def test_a_wrong_mask_axis_is_found_shrunk_and_named():
    result = attnfuzz.check(mask_over_heads)
    error = next(f for f in result.findings if f.kind == "error")
    assert "num_heads" in str(error) and "batch" in str(error)
    assert error.case.problem["batch"] <= 2 and error.case.problem["head_dim"] <= 5
    assert not result and result.counts.endswith("2 findings") and result.counts in str(result)


def test_a_wrong_scale_is_named():
    result = attnfuzz.check(double_scale)
    assert any("1/head_dim" in words or "twice" in words for f in result.findings for _, words in f.causes)
    with pytest.raises(AssertionError, match="wrong output"):
        result.raise_on_findings()


def test_the_same_seed_gives_the_same_findings():
    first, second, other = (attnfuzz.check(double_scale, seed=s) for s in (3, 3, 4))
    assert [f.case for f in first.findings] == [f.case for f in second.findings]
    assert [f.original for f in first.findings] != [f.original for f in other.findings]


def test_exceptions_are_findings_and_interrupts_go_through():
    def broken(q, k, v):
        raise ValueError(f"expected {q.shape[2]} keys")

    finding = attnfuzz.check(broken, cases=5).findings[0]
    assert (finding.kind, finding.error) == ("error", f"ValueError: expected {finding.case.problem['q_len']} keys")

    def stopped(q, k, v):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attnfuzz.check(stopped, cases=5)


def test_declined_cases_are_counted():
    def picky(q, k, v):
        if q.shape[2] > 1:
            raise attnfuzz.Declined("one query at a time")
        return attention(q, k, v)

    result = attnfuzz.check(picky, cases=50, q_len=(1, 3))
    assert result and result.declined > 0 and result.passed + result.declined == 50


def test_inputs_belong_to_the_function():
    def careless(q, k, v):
        out = attention(q, k, v)
        q[:], k[:], v[:] = 0, 0, 0
        return out

    assert attnfuzz.check(careless, cases=50)


@pytest.mark.parametrize(
    "change",
    [lambda out: (out, "weights"), lambda out: out.swapaxes(1, 2).copy().swapaxes(1, 2), np.asfortranarray, np.flip],
)
def test_outputs_may_be_strided_or_come_with_others(change):
    def fn(q, k, v):
        return change(attention(q, k, v))

    flipped = change is np.flip
    assert bool(attnfuzz.check(fn, cases=50)) != flipped


@pytest.mark.parametrize("output", [None, np.zeros((1, 1, 1, 1), np.int64), "text"])
def test_an_output_that_is_no_array_is_an_error(output):
    finding = attnfuzz.check(lambda q, k, v: output, cases=3).findings[0]
    assert finding.kind == "error" and "TypeError: the " in finding.error


def test_another_layout():
    def bshd(q, k, v):
        return attention(*(a.swapaxes(1, 2) for a in (q, k, v))).swapaxes(1, 2)

    assert attnfuzz.check(bshd, layout="bshd", cases=100)
    assert not attnfuzz.check(bshd, cases=100)


def test_half_precision_in_numpy():
    pytest.importorskip("ml_dtypes")

    def half(q, k, v, mask=None):
        return attention(*(a.astype(np.float32) for a in (q, k, v)), mask).astype(q.dtype)

    assert attnfuzz.check(half, cases=100, dtype=["f16", "bf16"])


def test_torch():
    torch = pytest.importorskip("torch")

    def sdpa(q, k, v, attn_mask=None, is_causal=False, scale=None, enable_gqa=False):
        assert isinstance(q, torch.Tensor)
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
        )

    result = attnfuzz.check(sdpa, cases=150, align="top_left", dtype=["f32", "bf16", "f64"])
    assert result, result

    class Module(torch.nn.Module):
        def forward(self, q, k, v, mask=None):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask).requires_grad_()

    module = attnfuzz.check(Module(), cases=40)
    assert module and "rule:causal" in module.covered


def test_jax():
    jax = pytest.importorskip("jax")

    def fn(q, k, v):
        return jax.nn.softmax(q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5) @ v

    assert attnfuzz.check(fn, cases=20)
    assert attnfuzz.check(fn, cases=20).target.endswith("fn")


def test_any_module_of_arrays():
    class Module:  # as the array API standard has it
        __name__ = "mine"
        from_dlpack = staticmethod(np.from_dlpack)

    assert attnfuzz.check(attention, arrays=Module, cases=30)


def test_the_package_of_arrays_is_guessed():
    torch = pytest.importorskip("torch")
    from attnfuzz._kinds import choose

    def guess(fn):
        return choose(fn).arrays

    def annotated(q: "torch.Tensor", k, v): ...

    softmax = torch.nn.functional.softmax
    assert guess(annotated) == guess(lambda q, k, v: softmax(q @ k, -1) @ v) == guess(torch.nn.Identity()) == "torch"
    assert guess(torch.nn.functional.scaled_dot_product_attention) == guess(partial(annotated, v=1)) == "torch"
    assert guess(attention) == guess(lambda q, k, v: v) == "numpy"


@pytest.mark.parametrize(
    "claims, words",
    [
        ({"head_dims": 8}, "head_dims is no capability .did you mean head_dim"),
        ({"features": "gqqa"}, "gqqa"),
        ({"dtype": "f33"}, "dtype:f33"),
        ({"rules": "window"}, "none of the parameters mask, window, case"),
        ({"features": "softcap"}, "softcap is claimed"),
        ({"head_dim": (1, 2, 3, 4)}, "head_dim: expected n, .min, max"),
        ({"head_dim": (8, 4)}, "head_dim"),
        ({"precision": {"f99": {}}}, "f99"),
        ({"arrays": "cupy"}, "arrays: expected one of numpy"),
    ],
)
def test_claims_that_are_none(claims, words):
    with pytest.raises(attnfuzz.InputError, match=words):
        attnfuzz.check(lambda q, k, v: v, **claims)


def test_replay():
    case = attnfuzz.check(double_scale).findings[0].case
    assert attnfuzz.replay(double_scale, case).kind == "mismatch"
    assert attnfuzz.replay(attention, case.json) is None
    assert attnfuzz.replay(attention, CASE) is None
    with pytest.raises(attnfuzz.InputError, match="outside the claims"):
        attnfuzz.replay(attention, CASE, head_dim=4)
    with pytest.raises(attnfuzz.InputError, match="rule:causal is claimed"):
        attnfuzz.replay(lambda q, k, v: v, CASE)


def test_cases():
    case = attnfuzz.Case(CASE)
    assert case == attnfuzz.Case(case.json) and len({case, attnfuzz.Case(CASE)}) == 1
    assert str(case).startswith("b2 h4/2 q3 kv5 d8") and "gqa" in case.features
    inputs = case.inputs()
    assert inputs["q"].shape == (2, 4, 3, 8) and inputs["mask"].dtype == bool
    assert case.mask_drawing().count("█") == 12 and "causal" in case.describe()
    expected = case.expected()[0]
    assert expected.shape == (2, 4, 3, 8) and expected.dtype == np.float64
    right = attention(inputs["q"], inputs["k"], inputs["v"], inputs["mask"])
    np.testing.assert_allclose(right, expected, rtol=1e-5, atol=1e-6)
    case.check(right)
    with pytest.raises(AssertionError, match="mismatch"):
        case.check(right + np.float32(1e-3))
    with pytest.raises(AttributeError):
        case.json = ""
    for bad, words in (("nowhere.json", "expected a case file"), ("{", "case"), (CASE | {"seed": 1}, "seed")):
        with pytest.raises(attnfuzz.InputError, match=words):
            attnfuzz.Case(bad)


class DynamicCache:
    """An adapter, for what a function of (q, k, v) can't say: a cache that grows."""

    name, version = "mine:cache", "2"
    capabilities = {
        "sizes": {"batch": [1, 3], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 5], "kv_len": [1, 16],
                  "head_dim": [1, 8], "head_dim_v": [1, 8], "steps": [1, 5]},
        "features": ["dtype:f32", "layout:bhsd", "rule:causal", "cache:dynamic", "step:prefill", "step:decode",
                     "step:reset"],
    }
    forgets = True

    def run(self, case, tensors):
        empty = [np.zeros((case["problem"]["batch"], case["problem"]["num_heads"], 0, 1), np.float32)] * 2
        keys = list(empty)
        for n, step in enumerate(case["steps"]):
            if step["op"] == "reset":
                keys = list(empty) if self.forgets else keys
                yield {"lengths": [keys[0].shape[2]] * case["problem"]["batch"]}
                continue
            q, new = tensors[f"q.{n}"], (tensors[f"k.{n}"], tensors[f"v.{n}"])
            keys = [a if old.shape[2] == 0 else np.concatenate([old, a], 2) for old, a in zip(keys, new)]
            length, q_len = keys[0].shape[2], q.shape[2]
            causal = np.arange(length) <= np.arange(length - q_len, length)[:, None]
            mask = causal if case["problem"]["mask"]["rules"] else None
            yield {"out": attention(q, *keys, mask), "lengths": [length] * q.shape[0]}


def test_caches_by_an_adapter():
    right = attnfuzz.check(DynamicCache(), cases=100)
    assert right, right
    wrong = DynamicCache()
    wrong.forgets = False
    result = attnfuzz.check(wrong, cases=100)
    assert result.findings and result.target == "python:mine:cache"
    assert any(step["op"] == "reset" for step in result.findings[0].case.data["steps"])


def run_python(*arguments, cwd):
    path = os.pathsep.join([str(Path(attnfuzz.__file__).parent.parent), str(Path(__file__).parent)])
    return subprocess.run([sys.executable, "-B", *arguments], cwd=cwd, env=os.environ | {"PYTHONPATH": path},
                          capture_output=True, text=True)


MODULE = """
import numpy as np
from reference import attention
SCALE = 1 / 7
def mine(q, k, v): return attention(q, k, v, scale=SCALE)
"""


def test_reports_and_their_repro(tmp_path):
    (tmp_path / "kernel.py").write_text(MODULE)
    done = run_python("-m", "attnfuzz", "kernel:mine", "--size", "head_dim=4:64", "--cases", "50", "--out", "out",
                      cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "python:kernel:mine gives a wrong output" in done.stdout
    for name in ("summary.json", "index.html", "junit.xml", "results.sarif"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert "NumPy " in json.loads((tmp_path / "out" / "summary.json").read_text())["environment"]
    finding = next((tmp_path / "out" / "findings").iterdir())
    assert "python -m attnfuzz 'kernel:mine' --replay case.json" in (finding / "report.md").read_text()
    assert "CLAIMS = {'head_dim': [4, 64]}" in (finding / "repro.py").read_text()
    repro, replay = str(finding / "repro.py"), ("-m", "attnfuzz", "kernel:mine", "--replay", str(finding / "case.json"))
    assert (run_python(repro, cwd=tmp_path).returncode, run_python(*replay, cwd=tmp_path).returncode) == (1, 1)
    (tmp_path / "kernel.py").write_text(MODULE.replace("1 / 7", "None"))
    fixed = run_python(repro, cwd=tmp_path)
    assert (fixed.returncode, fixed.stdout) == (0, "right\n"), fixed.stderr
    assert run_python(*replay, cwd=tmp_path).returncode == 0


def test_findings_of_an_earlier_run_are_moved_aside(tmp_path):
    wrong = attnfuzz.check(lambda q, k, v: q * 0, isolate=False, head_dim_v=(1, 8), head_dim=(1, 8), cases=20,
                           stop_after=1)
    assert wrong.findings
    wrong.write(tmp_path)
    names = {file.name for file in (tmp_path / "findings").iterdir()}
    for _ in range(2):  # into a folder with findings, and into one without
        attnfuzz.check(attention, cases=5).write(tmp_path)
        assert not (tmp_path / "findings").exists() or not any((tmp_path / "findings").iterdir())
        assert {file.name for file in (tmp_path / "findings.before").iterdir()} == names



@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nowhere:fn"], "nowhere:fn: expected MODULE:FUNCTION: No module named 'nowhere'"),
        (["reference:nothing"], "expected MODULE:FUNCTION"),
        (["reference"], "reference: expected MODULE:FUNCTION"),
        (["reference:attention", "--size", "head_dim=a"], "--size head_dim=a: expected NAME=MIN:MAX"),
        (["reference:attention", "--feature", "gqa?"], "gqa?"),
        (["reference:attention", "--replay", "none.json"], "none.json: expected a case file"),
        (["reference:attention", "--replay", "half.json"], "half.json: expected JSON"),
        (["reference:attention", "--replay", "empty.json"], 'empty.json: expected the key "problem"'),
        (["reference:attention", "--replay", "bytes.json"], "bytes.json: expected a case file: it is not UTF-8"),
        (["reference:attention", "--cases", "-1"], "cases: expected a whole number from 0 to 2^63 - 1, found -1"),
        (["reference:attention", "--seed", str(1 << 64)], "seed: expected a whole number"),
        (["reference:attention", "--seconds", "-1"], "seconds: expected a number from 0 on, found -1.0"),
        (["reference:attention", "--seconds", "nan"], "seconds: expected a number from 0 on, found nan"),
    ],
)
def test_wrong_usage_on_the_command_line(arguments, words, tmp_path):
    (tmp_path / "half.json").write_text('{"attnfuzz": 1, "problem": {')
    (tmp_path / "empty.json").write_text('{"attnfuzz": 1}')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    done = run_python("-m", "attnfuzz", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
