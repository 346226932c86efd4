"""The adapters of caches that adapters_test.py's model of a cache can't say: an encoder's keys, a state, evictions. Each against its
definition in NumPy; those whose package is not installed are skipped, with its name."""
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import attnfuzz_philox  # noqa: E402
import worker  # noqa: E402
from adapters_test import CAUSAL, GROWN, PLAYED, RAGGED, attend, make_case, play, wide  # noqa: E402
from attnfuzz_worker import Declined, to_layout  # noqa: E402

OPENED = {}
CROSSED = [{"op": "prefill", "q_len": 2, "kv_len": 5, "lens": [5, 3], "side": "left"}, {"op": "decode", "q_len": 1, "kv_len": 0},
           {"op": "reorder", "rows": [1, 1]}, {"op": "append", "q_len": 3, "kv_len": 0}]
STATES = [{"op": "prefill", "q_len": 70}, {"op": "decode", "q_len": 1}, {"op": "reorder", "rows": [1, 0]}, {"op": "append", "q_len": 3},
          {"op": "reset"}, {"op": "prefill", "q_len": 2}]
EVICTED = [{"op": "prefill", "q_len": 5}, {"op": "evict", "start": 1, "count": 2}, {"op": "append", "q_len": 2}]
LLAMA_CPP = ["llama-cpp:unified", "llama-cpp:streams"]


def opened(name: str):
    if name not in OPENED:
        OPENED[name], why_not = worker.find(name)
        if OPENED[name] is None:
            OPENED[name] = why_not
        elif hasattr(OPENED[name], "load"):
            OPENED[name].load()
    if isinstance(OPENED[name], str):
        assert OPENED[name].startswith("not installed") or "quanto" in name, OPENED[name]
        pytest.skip(OPENED[name])
    return OPENED[name]


def run(name: str, case: dict) -> tuple[list, dict]:
    """The target's steps, and the case's tensors in float64."""
    target, tensors = opened(name), attnfuzz_philox.inputs(case)
    return list(target.run(case, tensors)), wide(case, tensors)


def same(case: dict, got, want) -> None:
    np.testing.assert_allclose(to_layout(case, got, "bhsd"), want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("name", [f"transformers-cross:{name}" for name in ("bart-eager", "bart-sdpa-static", "t5gemma-eager")])
def test_cross(name, layout):
    case = make_case({"layout": layout}, [], {"kind": "cross"}, CROSSED)
    steps, given = run(name, case)
    k, v, real = given["k.0"], given["v.0"], np.arange(5) >= np.array([[0], [2]])
    for i, (step, result) in enumerate(zip(CROSSED, steps, strict=True)):
        if step["op"] == "reorder":
            k, v, real = k[step["rows"]], v[step["rows"]], real[step["rows"]]
        else:
            same(case, result["out"], attend(case["problem"], given[f"q.{i}"], k, v, real[:, None, None]))
        assert result["lengths"] == real.sum(1).tolist()


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_fp8(layout):
    """A scale that is a power of two, keys of one size in range and values of one out of range: 448 scales are kept of them."""
    case = make_case({"layout": layout, "num_kv_heads": 1}, [CAUSAL], {"kind": "dynamic", "quant": "e4m3", "scales": "head"}, GROWN)
    target, tensors = opened("transformers:llama-eager-fp8"), attnfuzz_philox.inputs(case)
    tensors |= {name: np.full_like(x, 0.5 if name[0] == "k" else 3) for name, x in tensors.items() if name[0] in "kv"}
    tensors |= {name: np.full(1, 2.0**-8, np.float32) for name in ("k_scales", "v_scales")}
    for step, lengths in zip(target.run(case, tensors), (4, 5, 8), strict=True):
        assert step["lengths"] == [lengths] * 2
        np.testing.assert_allclose(step["out"], np.full_like(step["out"], 448 / 256), rtol=1e-6)


def test_quanto():
    """Ones and zeros are read as they were, when more tokens than are kept unrounded have come too."""
    steps = [*GROWN, {"op": "reorder", "rows": [1, 1]}, {"op": "append", "q_len": 5}, {"op": "decode", "q_len": 1}]
    case = make_case({}, [CAUSAL], {"kind": "dynamic"}, steps)
    case["data"]["dist"] = "one_hot"
    results, _ = run("transformers:llama-sdpa-quanto", case)
    for result, (want, _, lengths) in zip(results, play(case, attnfuzz_philox.inputs(case)), strict=True):
        assert result["lengths"] == lengths
        if want is not None:
            same(case, result["out"], want)


def recurrence(q, k, v, gate, beta, state):
    """One token of attention with a state; q, k, v [batch, heads, dim]."""
    state = np.exp(gate)[..., None, None] * state
    u = v if beta is None else beta[..., None] * (v - np.einsum("bhij,bhi->bhj", state, k))
    state = state + k[..., :, None] * u[..., None, :]
    return q.shape[-1] ** -0.5 * np.einsum("bhij,bhi->bhj", state, q), state


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize(("name", "kind"), [("qwen3-next", "gated_delta"), ("qwen3-5", "gated_delta"), ("mamba2", "ssd")])
def test_state(name, kind, layout):
    case = make_case({"layout": layout, "kind": kind, "head_dim_v": 5}, [CAUSAL], {"kind": "dynamic"}, STATES)
    tensors = attnfuzz_philox.inputs(case)
    state = np.zeros((2, 4, 8, 5))
    for i, (step, result) in enumerate(zip(STATES, opened(f"transformers-states:{name}").run(case, tensors), strict=True)):
        if step["op"] == "reorder":
            state = state[step["rows"]]
        elif step["op"] == "reset":
            state = np.zeros_like(state)
        else:
            q, k, v = (to_layout(case, tensors[f"{x}.{i}"], "bhsd").astype(np.float64) for x in "qkv")
            gate, beta = (to_layout(case, tensors[f"{x}.{i}"][..., None], "bhsd")[..., 0].astype(np.float64) if f"{x}.{i}" in tensors else None
                          for x in ("gate", "beta"))
            for t in range(step["q_len"]):
                want, state = recurrence(q[:, :, t], k[:, :, t], v[:, :, t], gate[:, :, t], None if beta is None else beta[:, :, t], state)
                np.testing.assert_allclose(to_layout(case, result["out"], "bhsd")[:, :, t], want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("steps", [GROWN, RAGGED, PLAYED])
@pytest.mark.parametrize("name", LLAMA_CPP)
def test_llama_cpp(name, steps, layout):
    case = make_case({"layout": layout, "num_kv_heads": 2}, [CAUSAL], {"kind": "dynamic"}, steps)
    results, _ = run(name, case)
    for result, (want, real, lengths) in zip(results, play(case, attnfuzz_philox.inputs(case)), strict=True):
        assert result["positions"] == lengths
        for b, n in enumerate(real or ()):
            np.testing.assert_allclose(to_layout(case, result["out"], "bhsd")[b, :, :n], want[b, :, :n], rtol=2e-5, atol=2e-5)


def turned(x, positions):
    """[batch, heads, len, dim] turned by the rule "interleaved"."""
    angle = np.array(positions)[:, None] * 10000.0 ** (-2 * np.arange(x.shape[-1] // 2) / x.shape[-1])
    pairs = (x[..., ::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)


@pytest.mark.parametrize(("positions", "at"), [("kept", [0, 3, 4, 5, 6]), ("shifted", [0, 1, 2, 3, 4])])
@pytest.mark.parametrize("name", LLAMA_CPP)
def test_llama_cpp_evicts(name, positions, at):
    case = make_case({"rope": "interleaved"}, [CAUSAL], {"kind": "dynamic", "positions": positions}, EVICTED)
    results, given = run(name, case)
    assert results[-1]["positions"] == [at[-1] + 1] * 2
    k, v = (np.concatenate([given[f"{x}.0"][:, :, [0, 3, 4]], given[f"{x}.2"]], 2) for x in "kv")
    seen = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]) != 0
    same(case, results[-1]["out"], attend(case["problem"], turned(given["q.2"], at[3:]), turned(k, at), v, seen))


@pytest.mark.parametrize("name", LLAMA_CPP)
def test_a_gap_behind_the_last_token_is_declined(name):
    steps = [{"op": "prefill", "q_len": 5}, {"op": "evict", "start": 3, "count": 2}]
    with pytest.raises(Declined, match="consecutive"):
        run(name, make_case({}, [CAUSAL], {"kind": "dynamic"}, steps))
