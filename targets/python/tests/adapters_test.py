"""The adapters of ONNX Runtime and PyTorch against attention written in NumPy, one case for each way they put a case to
the package. attnfuzz itself holds them against its oracle with generated cases; this tells a wrong adapter apart."""
import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import attnfuzz_philox  # noqa: E402
import worker  # noqa: E402
from attnfuzz_worker import Declined, rule, to_layout, widen  # noqa: E402

PROBLEM = {"batch": 2, "num_heads": 4, "num_kv_heads": 4, "q_len": 5, "kv_len": 5, "head_dim": 8, "head_dim_v": 8,
           "dtype": "f32", "layout": "bhsd", "scale": None, "softcap": 0, "sinks": False, "memory_kv": 0,
           "head_map": "grouped", "bias_order": "after_softcap", "fully_masked": "zero"}
TOLERANCE = {"f64": 1e-6, "f32": 1e-5, "f16": 1e-2, "bf16": 5e-2}
CAUSAL, WINDOW = {"rule": "causal"}, {"rule": "window", "left": 1, "right": 0}
RIGHT, LEFT = ({"rule": "padding", "side": side, "lens": [3, 5]} for side in ("right", "left"))
BIAS, KEEP = {"rule": "bias", "shape": "bhqk"}, {"rule": "boolean", "shape": "bqk", "keep": 60}
NOTHING = {"rule": "padding", "side": "right", "lens": [0, 5]}
CROSS, GQA = {"q_len": 3, "kv_len": 7}, {"num_kv_heads": 2}
PLAYED = [{"op": "prefill", "q_len": 4}, {"op": "decode", "q_len": 1}, {"op": "reorder", "rows": [1, 1]},
          {"op": "append", "q_len": 3}, {"op": "crop", "length": 5}, {"op": "decode", "q_len": 1}, {"op": "reset"},
          {"op": "prefill", "q_len": 2}]
RAGGED = [{"op": "prefill", "q_len": 4, "lens": [4, 2]}, {"op": "append", "q_len": 3, "lens": [1, 3]},
          {"op": "decode", "q_len": 1}]

MHA, GROUPED, ATTENTION, ATTENTION_25, MATH, FLASH = (
    "onnxruntime:MultiHeadAttention", "onnxruntime:GroupQueryAttention", "onnxruntime:Attention",
    "onnxruntime:Attention-25", "torch:sdpa-math", "torch:sdpa-flash")
DENSE = [[], [CAUSAL], [CAUSAL, WINDOW], [RIGHT], [LEFT], [CAUSAL, RIGHT], [KEEP], [BIAS], [BIAS, CAUSAL], [KEEP, BIAS]]
CASES = [
    *((target, {"layout": layout}, rules) for target in (MHA, ATTENTION, ATTENTION_25, MATH, FLASH)
      for layout in ("bhsd", "bshd") for rules in DENSE),
    *((target, CROSS | {"scale": 0.3}, [*rules]) for target in (MHA, ATTENTION, MATH, FLASH)
      for rules in ([], [CAUSAL], [KEEP])),
    *((target, GQA | {"layout": layout}, [CAUSAL]) for target in (GROUPED, ATTENTION, MATH, FLASH)
      for layout in ("bhsd", "bshd")),
    *((target, {"head_dim_v": 3}, [CAUSAL]) for target in (MHA, ATTENTION, ATTENTION_25, MATH)),
    *((target, {}, [NOTHING]) for target in (ATTENTION, ATTENTION_25, MATH, FLASH)),
    *((target, {"softcap": 2}, rules) for target in (GROUPED, ATTENTION, ATTENTION_25) for rules in ([CAUSAL], [CAUSAL, BIAS])),
    *((target, {"dtype": dtype}, [CAUSAL, BIAS]) for target in (MATH, FLASH) for dtype in ("f64", "f16", "bf16")),
    *((ATTENTION, {"dtype": dtype}, [CAUSAL, BIAS]) for dtype in ("f64", "f16")),
    (GROUPED, {}, []), (GROUPED, {"sinks": True}, [CAUSAL]), (GROUPED, {"dtype": "f16"} | GQA, [CAUSAL, WINDOW, BIAS]),
]
CACHED = [
    *((target, {"layout": layout}, rules, {"kind": "dynamic"}, PLAYED) for layout in ("bhsd", "bshd")
      for target, rules in ((MHA, []), (MHA, [CAUSAL]), (ATTENTION, [CAUSAL]), (ATTENTION, [CAUSAL, WINDOW]),
                            (ATTENTION_25, [CAUSAL, WINDOW]), (GROUPED, [CAUSAL]), (GROUPED, [CAUSAL, WINDOW]))),
    *((GROUPED, GQA, [CAUSAL], {"kind": kind, "capacity": 12}, RAGGED) for kind in ("dynamic", "fixed")),
    (GROUPED, GQA, [CAUSAL], {"kind": "ring", "capacity": 3}, RAGGED),
    (GROUPED, GQA | {"sinks": True}, [CAUSAL, WINDOW], {"kind": "fixed", "capacity": 12}, PLAYED),
]


def make_case(problem: dict, rules: list, cache: dict | None = None, steps: list = ()) -> dict:
    problem = PROBLEM | problem | {"mask": {"align": "top_left", "rules": rules}}
    data = {"seed": 3, "dist": "normal", "nonfinite": "none"}
    if cache is None:
        return {"problem": problem, "data": data}
    return {"problem": {k: v for k, v in problem.items() if k not in ("q_len", "kv_len")}, "data": data, "cache": cache,
            "steps": steps}


def attend(p: dict, q, k, v, seen, bias=0.0, sinks=None):
    """[batch, heads, len, dim] in float64; rows that see nothing give zeros."""
    k, v = (np.repeat(x, p["num_heads"] // p["num_kv_heads"], axis=1) for x in (k, v))
    s = q @ k.swapaxes(-1, -2) * (p["scale"] or p["head_dim"] ** -0.5)
    if p["softcap"]:
        s = p["softcap"] * np.tanh(s / p["softcap"])
    weight = np.where(seen, np.exp(s + bias), 0)
    total = weight.sum(-1, keepdims=True) + (0 if sinks is None else np.exp(sinks)[None, :, None, None])
    return weight / np.where(total == 0, 1, total) @ v


def wide(case: dict, tensors: dict) -> dict:
    dtype = case["problem"]["dtype"]
    return {name: widen(t, dtype).astype(np.float64) if name in ("mask", "bias", "sinks") else
            to_layout(case, widen(t, dtype).astype(np.float64), "bhsd") for name, t in tensors.items()}


def play(case: dict, tensors: dict) -> list:
    """(out, how many queries of each row are real, cached tokens) for each step, row by row."""
    p, wide_tensors, window = case["problem"], wide(case, tensors), rule(case, "window")
    most = case["cache"]["capacity"] if case["cache"]["kind"] == "ring" else 1 << 30
    reach = min(window["left"] if window else most, most - 1)
    rows, answers = [(np.zeros((p["num_kv_heads"], 0, 8)),) * 2 for _ in range(p["batch"])], []
    for i, step in enumerate(case["steps"]):
        out, real = None, None
        if "q_len" in step:
            q, k, v = (wide_tensors[f"{name}.{i}"] for name in "qkv")
            out, real = np.zeros(q.shape), step.get("lens", [step["q_len"]] * p["batch"])
            for b, n in enumerate(real):
                past = rows[b][0].shape[1]
                rows[b] = tuple(np.concatenate([old, new[b, :, :n]], 1) for old, new in zip(rows[b], (k, v)))
                at, key = past + np.arange(n)[:, None], np.arange(past + n)
                seen = (key >= at - reach) & ((key <= at) | (rule(case, "causal") is None))
                out[b, :, :n] = attend(p, q[b : b + 1, :, :n], rows[b][0][None], rows[b][1][None], seen,
                                       sinks=wide_tensors.get("sinks"))[0]
        elif step["op"] == "reorder":
            rows = [rows[r] for r in step["rows"]]
        else:
            rows = [tuple(x[:, : step.get("length", 0)] for x in row) for row in rows]
        answers.append((out, real, [min(row[0].shape[1], most) for row in rows]))
    return answers


@pytest.fixture(scope="module")
def target():
    opened = {}

    def get(name: str):
        package = name.partition(":")[0]
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed: see targets/python/requirements-{package}.txt")
        if name not in opened:
            opened[name], why_not = worker.find(name)
            assert opened[name], why_not
            opened[name].load()
        return opened[name]

    return get


def close(case: dict, got, want) -> None:
    tolerance = TOLERANCE[case["problem"]["dtype"]]
    np.testing.assert_allclose(widen(got, case["problem"]["dtype"]), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "problem", "rules"), CASES)
def test_one_call(target, name, problem, rules):
    case = make_case(problem, rules)
    tensors = attnfuzz_philox.inputs(case)
    given = wide(case, tensors)
    want = attend(case["problem"], given["q"], given["k"], given["v"], given.get("mask", 1) != 0, given.get("bias", 0.0),
                  given.get("sinks"))
    (step,) = target(name).run(case, tensors)
    assert step["out"].dtype == tensors["q"].dtype
    close(case, to_layout(case, step["out"], "bhsd"), want)


@pytest.mark.parametrize(("name", "problem", "rules", "cache", "steps"), CACHED)
def test_cache(target, name, problem, rules, cache, steps):
    case = make_case(problem, rules, cache, steps)
    tensors = attnfuzz_philox.inputs(case)
    results = list(target(name).run(case, tensors))
    for result, (want, real, lengths) in zip(results, play(case, tensors), strict=True):
        assert result["lengths"] == lengths
        if want is None:
            assert result["out"] is None
            continue
        got = to_layout(case, result["out"], "bhsd")
        for b, n in enumerate(real):
            close(case, got[b, :, :n], want[b, :, :n])


def test_chunks_beyond_the_capacity_are_declined(target):
    steps = [{"op": "prefill", "q_len": 4, "lens": [4, 2]}, {"op": "append", "q_len": 4, "lens": [1, 1]}]
    case = make_case({}, [CAUSAL], {"kind": "fixed", "capacity": 6}, steps)
    with pytest.raises(Declined, match="past . q_len <= capacity"):
        list(target(GROUPED).run(case, attnfuzz_philox.inputs(case)))


@pytest.mark.parametrize("name", [MHA, GROUPED, ATTENTION, ATTENTION_25, MATH, FLASH])
def test_what_a_target_says_of_itself(target, name):
    about = worker.describe(target(name))
    assert about["name"] == name
    assert about["version"] == importlib.metadata.version(name.partition(":")[0])
    assert {"dtype:f32", "layout:bhsd", "layout:bshd", "rule:causal"} <= set(about["capabilities"]["features"])
