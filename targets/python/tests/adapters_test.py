"""The adapters against attention written in NumPy, one case for each way they put a case to the package. attnfuzz itself
holds them against its oracle with generated cases; this tells a wrong adapter apart. Those whose package is not installed are
skipped, with its name: run this file with an environment's interpreter (`attnfuzz env path NAME`) for more of them."""
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
CHUNK = {"rule": "chunk", "size": 3, "origin": "slot"}
RIGHT, LEFT = ({"rule": "padding", "side": side, "lens": [3, 5]} for side in ("right", "left"))
BIAS, KEEP = {"rule": "bias", "shape": "bhqk"}, {"rule": "boolean", "shape": "bqk", "keep": 60}
PACKED = {"rule": "packed", "q_lens": [2, 0, 3], "kv_lens": [1, 1, 3]}
NOTHING = {"rule": "padding", "side": "right", "lens": [0, 5]}
CROSS, GQA = {"q_len": 3, "kv_len": 7}, {"num_kv_heads": 2}
PLAYED = [{"op": "prefill", "q_len": 4}, {"op": "decode", "q_len": 1}, {"op": "reorder", "rows": [1, 1]},
          {"op": "append", "q_len": 3}, {"op": "crop", "length": 5}, {"op": "decode", "q_len": 1}, {"op": "reset"},
          {"op": "prefill", "q_len": 2}]
GROWN = [{"op": "prefill", "q_len": 4}, {"op": "decode", "q_len": 1}, {"op": "append", "q_len": 3}]
RAGGED = [{"op": "prefill", "q_len": 4, "lens": [4, 2]}, {"op": "append", "q_len": 3, "lens": [1, 3]},
          {"op": "decode", "q_len": 1}]

MHA, GROUPED, ATTENTION, ATTENTION_25, MATH, FLASH = (
    "onnxruntime:MultiHeadAttention", "onnxruntime:GroupQueryAttention", "onnxruntime:Attention",
    "onnxruntime:Attention-25", "torch:sdpa-math", "torch:sdpa-flash")
REFERENCE, FLEX, JAX, KERAS = (
    ["onnx:reference-23", "onnx:reference-24"], "torch-flex:eager", "jax:dot-product-attention",
    ["keras:torch", "keras:jax", "keras:numpy"])
LLAMA, MISTRAL, LLAMA4, GEMMA, GPT_OSS, FACTORY, PLAIN, FUSED = (
    "transformers:llama-sdpa", "transformers:mistral-eager", "transformers:llama4-sdpa", "transformers:gemma2-eager",
    "transformers:gpt_oss-eager", "llamafactory:qwen2-sdpa", "x-transformers:attention-plain", "x-transformers:attention-flash")
OPENVINO, ONEDNN, GGML, TRITON = (
    ["openvino:sdpa", "openvino:sdpa-stateful"], "onednn:sdpa-mask-by-row", "ggml:flash-attn", "triton-attention:fla-parallel")
ANY = {"fully_masked": "any"}
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
    *((target, {"layout": layout}, rules) for target in (*REFERENCE, FLEX, JAX, *KERAS) for layout in ("bhsd", "bshd")
      for rules in DENSE),
    *((target, CROSS | {"scale": 0.3}, [*rules]) for target in (*REFERENCE, FLEX, JAX, *KERAS) for rules in ([], [CAUSAL], [KEEP])),
    *((target, GQA, [CAUSAL]) for target in (*REFERENCE, FLEX, JAX, "keras:torch", "keras:jax", LLAMA, MISTRAL, GPT_OSS, PLAIN, FUSED)),
    *((target, {"softcap": 2}, [CAUSAL, BIAS]) for target in (*REFERENCE, FLEX)),
    *((target, {"softcap": 2, "bias_order": "before_softcap", "head_dim_v": 3}, [CAUSAL, BIAS])
      for target in (FLEX, "torch-flex:untraced")),
    *(("torch-flex:compiled-kept", {"softcap": cap}, [CAUSAL, BIAS]) for cap in (2, 5)),
    *((JAX, {"dtype": dtype}, [CAUSAL, BIAS]) for dtype in ("f16", "bf16")), (JAX, {}, [CAUSAL, WINDOW, BIAS]), (JAX, {}, [RIGHT, BIAS]),
    *((target, ANY | {"layout": layout}, rules) for target in (LLAMA, MISTRAL, GEMMA, GPT_OSS, FACTORY, PLAIN, FUSED)
      for layout in ("bhsd", "bshd") for rules in ([CAUSAL], [CAUSAL, LEFT], [CAUSAL, RIGHT])),
    *((target, {}, [CAUSAL, WINDOW]) for target in (MISTRAL, GEMMA, GPT_OSS, FACTORY, PLAIN, FUSED)),
    *((LLAMA4, ANY, [CAUSAL, CHUNK, *more]) for more in ([], [RIGHT])),
    (GEMMA, {"softcap": 2}, [CAUSAL]), (GPT_OSS, {"sinks": True}, [CAUSAL]), (PLAIN, {"softcap": 2}, [CAUSAL]),
    *((target, {"memory_kv": 3} | more, [CAUSAL]) for target in (PLAIN, FUSED)
      for more in ({}, GQA, {"num_kv_heads": 1}, GQA | {"head_map": "interleaved"})),
    *((target, {"layout": layout}, rules) for target in OPENVINO for layout in ("bhsd", "bshd") for rules in DENSE),
    *((ONEDNN, {"layout": layout}, rules) for layout in ("bhsd", "bshd") for rules in DENSE if BIAS not in rules),
    *((target, more, [CAUSAL]) for target in OPENVINO
      for more in (*([CROSS | {"scale": 0.3}] if target == OPENVINO[0] else []), GQA, GQA | {"head_dim_v": 16}, GQA | {"layout": "bshd"})),
    *((TRITON, more, rules) for more in (GQA, {"layout": "bshd", "sinks": True}, {"head_dim_v": 16, "scale": 0.3})
      for rules in ([CAUSAL], [CAUSAL, WINDOW])),
    *((GGML, {"layout": layout}, rules) for layout in ("bhsd", "bshd") for rules in (
        [], [CAUSAL], [CAUSAL, WINDOW], [RIGHT], [KEEP], [NOTHING], [{"rule": "alibi"}, CAUSAL])),
    *((GGML, more, [CAUSAL]) for more in (GQA, {"softcap": 2}, {"sinks": True}, {"head_dim_v": 16, "scale": 0.3} | CROSS)),
    *((GGML, {"dtype": "f16"}, rules) for rules in ([], [CAUSAL, BIAS])),
    *((ONEDNN, more, [CAUSAL]) for more in (CROSS | {"scale": 0.3}, CROSS | {"layout": "bshd"})),
    ("onednn:sdpa", GQA, []), ("onednn:sdpa", {"batch": 1}, [CAUSAL]),
    *(("torch-nested:sdpa-math", {"batch": 1, "layout": layout, "head_dim_v": 3}, rules) for layout in ("bhsd", "bshd")
      for rules in ([], [PACKED])),
    *((target, {}, rules) for target in (MATH, FLASH, FLEX, MHA, ATTENTION) for rules in ([PACKED], [PACKED, CAUSAL])),
    (GROUPED, {}, []), (GROUPED, {"sinks": True}, [CAUSAL]), (GROUPED, {"dtype": "f16"} | GQA, [CAUSAL, WINDOW, BIAS]),
]
CACHED = [
    *((LLAMA, GQA | {"layout": layout}, [CAUSAL], {"kind": kind} | ({"capacity": 12} if kind == "fixed" else {}), steps)
      for layout in ("bhsd", "bshd") for kind in ("dynamic", "fixed") for steps in (GROWN, RAGGED)),
    (LLAMA, GQA, [CAUSAL], {"kind": "dynamic"}, PLAYED),
    *((target, GQA, [CAUSAL, WINDOW], {"kind": "dynamic"}, GROWN) for target in (MISTRAL, GEMMA, GPT_OSS, FACTORY)),
    *((target, GQA, [CAUSAL], {"kind": "dynamic"}, GROWN) for target in (PLAIN, FUSED)),
    *(("openvino:sdpa-stateful", GQA | {"layout": layout}, rules, {"kind": "dynamic"}, PLAYED) for layout in ("bhsd", "bshd")
      for rules in ([], [CAUSAL], [CAUSAL, WINDOW])),
    *((target, {"layout": layout}, rules, {"kind": "dynamic"}, PLAYED) for layout in ("bhsd", "bshd")
      for target, rules in ((MHA, []), (MHA, [CAUSAL]), (ATTENTION, [CAUSAL]), (ATTENTION, [CAUSAL, WINDOW]),
                            (ATTENTION_25, [CAUSAL, WINDOW]), (GROUPED, [CAUSAL]), (GROUPED, [CAUSAL, WINDOW]))),
    *((GROUPED, GQA, [CAUSAL], {"kind": kind, "capacity": 12}, RAGGED) for kind in ("dynamic", "fixed")),
    (GROUPED, GQA, [CAUSAL], {"kind": "ring", "capacity": 3}, RAGGED),
    *((f"{GROUPED}-shared", GQA, [CAUSAL], {"kind": "fixed", "capacity": 12}, steps) for steps in (GROWN, RAGGED, PLAYED)),
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
    group = p["num_heads"] // p["num_kv_heads"]
    k, v = (np.tile(x, (1, group, 1, 1)) if p["head_map"] == "interleaved" else np.repeat(x, group, axis=1) for x in (k, v))
    s = q @ k.swapaxes(-1, -2) * (p["scale"] or p["head_dim"] ** -0.5)
    first = bias if p["bias_order"] == "before_softcap" else 0.0
    if p["softcap"]:
        s, bias = p["softcap"] * np.tanh((s + first) / p["softcap"]), bias - first
    weight = np.where(seen, np.exp(s + bias), 0)
    total = weight.sum(-1, keepdims=True) + (0 if sinks is None else np.exp(sinks)[None, :, None, None])
    return weight / np.where(total == 0, 1, total) @ v


def wide(case: dict, tensors: dict) -> dict:
    dtype = case["problem"]["dtype"]
    return {name: widen(t, dtype).astype(np.float64) if name in ("mask", "bias", "sinks", "mem_k", "mem_v") else
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
        if name in KERAS and (other := [each for each in opened if each in KERAS and each != name]):
            pytest.skip(f"a process has one Keras backend, here {other[0]}'s")
        if name not in opened:
            opened[name], why_not = worker.find(name)
            if opened[name] is None and why_not.startswith("not installed"):
                opened[name] = why_not
            elif opened[name] is None:
                pytest.fail(why_not)
            else:
                opened[name].load() if hasattr(opened[name], "load") else None
        if isinstance(opened[name], str):
            pytest.skip(opened[name])
        return opened[name]

    return get


def close(case: dict, got, want) -> None:
    tolerance = TOLERANCE[case["problem"]["dtype"]]
    np.testing.assert_allclose(widen(got, case["problem"]["dtype"]), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "problem", "rules"), CASES)
def test_one_call(target, name, problem, rules):
    opened, case = target(name), make_case(problem, rules)
    tensors = attnfuzz_philox.inputs(case)
    given = wide(case, tensors)
    p, k, v, seen = case["problem"], given["k"], given["v"], given.get("mask", np.ones((1, 1, 1, 1))) != 0
    if p["memory_kv"]:  # before all keys, seen by every query
        k, v = (np.concatenate([np.broadcast_to(given[m], (p["batch"], *given[m].shape)), x], 2) for m, x in (("mem_k", k), ("mem_v", v)))
        seen = np.concatenate([np.ones((*seen.shape[:3], p["memory_kv"]), bool), seen], 3)
    want = attend(p, given["q"], k, v, seen, given.get("bias", 0.0), given.get("sinks"))
    (step,) = opened.run(case, tensors)
    assert step["out"].dtype == tensors["q"].dtype
    got = to_layout(case, step["out"], "bhsd")
    if p["fully_masked"] == "any":
        got, want = (np.where(seen.any(-1)[..., None], x, 0) for x in (got, want))
    close(case, got, want)


def gradients(p: dict, q, k, v, g, seen, bias=0.0) -> dict:
    """By their formulas, in float64, of a case without softcap and sinks."""
    group, scale = p["num_heads"] // p["num_kv_heads"], p["scale"] or p["head_dim"] ** -0.5
    summed = lambda x: x.reshape(len(x), p["num_kv_heads"], group, *x.shape[2:]).sum(2)
    k, v = (np.repeat(x, group, axis=1) for x in (k, v))
    weight = np.where(seen, np.exp(q @ k.swapaxes(-1, -2) * scale + bias), 0)
    weight /= weight.sum(-1, keepdims=True)
    dp = g @ v.swapaxes(-1, -2)
    ds = weight * (dp - (weight * dp).sum(-1, keepdims=True))
    return {"dq": scale * ds @ k, "dk": summed(scale * ds.swapaxes(-1, -2) @ q), "dv": summed(weight.swapaxes(-1, -2) @ g),
            "dbias": ds}


@pytest.mark.parametrize(("name", "problem", "rules"), [
    *((name, problem, rules) for name in (MATH, FLASH) for problem in ({}, GQA | {"layout": "bshd"}, {"dtype": "bf16"})
      for rules in ([], [CAUSAL], [KEEP], [BIAS, CAUSAL])),
    (MATH, {"head_dim_v": 3, "scale": 0.3} | CROSS, [CAUSAL]),
])
def test_gradients(target, name, problem, rules):
    asked = ["out", "dq", "dk", "dv", *(["dbias"] if BIAS in rules and name == MATH else [])]
    case = make_case(problem | {"outputs": asked}, rules)
    tensors = attnfuzz_philox.inputs(case)
    given = wide(case, tensors)
    want = gradients(case["problem"], given["q"], given["k"], given["v"], given["grad_out"], given.get("mask", 1) != 0,
                     given.get("bias", 0.0))
    (step,) = target(name).run(case, tensors)
    assert sorted(step) == sorted(asked)
    for gradient in asked[1:]:
        got = step[gradient] if gradient == "dbias" else to_layout(case, step[gradient], "bhsd")
        close(case, got, want[gradient])


@pytest.mark.parametrize(("name", "problem", "rules", "cache", "steps"), CACHED)
def test_cache(target, name, problem, rules, cache, steps):
    opened, case = target(name), make_case(problem, rules, cache, steps)
    tensors = attnfuzz_philox.inputs(case)
    results = list(opened.run(case, tensors))
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


DISTRIBUTIONS = {"torch-flex": "torch", "torch-nested": "torch", "fla": "flash-linear-attention", "ggml": "xllamacpp"}


@pytest.mark.parametrize("name", [MHA, GROUPED, ATTENTION, ATTENTION_25, MATH, FLASH, *REFERENCE, FLEX, "torch-flex:compiled", JAX,
                                  *KERAS, LLAMA, LLAMA4, FACTORY, PLAIN, FUSED, "fla:gla", *OPENVINO, GGML])
def test_what_a_target_says_of_itself(target, name):
    about = worker.describe(target(name))
    assert about["name"] == name
    package = name.partition(":")[0]
    assert about["version"].partition(" ")[0] == importlib.metadata.version(DISTRIBUTIONS.get(package, package))
    assert {"dtype:f32", "layout:bhsd", "layout:bshd", "rule:causal"} <= set(about["capabilities"]["features"])


def test_every_adapter_is_tested():
    tested = {name.partition(":")[0].replace("-", "_") for name, *_ in [*CASES, *CACHED]}
    assert {file.stem for file in worker.ADAPTERS.glob("*.py")} <= tested | {
        "fla",  # its row of corpus/ is its test
        "fla_ops",  # states: attention with another meaning than here; campaigns hold it against the oracle
        "flash_attn", "flashinfer",  # gpu_adapters_test.py
        "llama_cpp", "transformers_cross", "transformers_states"}  # cache_adapters_test.py
