"""Targets that need a GPU: without one each says so and is not run, and the class that serves it gives right answers on the CPU."""
import ast
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import adapters_test as cpu  # noqa: E402
import attnfuzz_philox  # noqa: E402
import attnfuzz_worker  # noqa: E402
import worker  # noqa: E402

FILES = ["torch", "torch_flex", "jax", "transformers", "fla_ops", "triton_attention", "flash_attn", "flashinfer"]
no_gpu = pytest.mark.skipif(attnfuzz_worker.has_gpu(), reason="a GPU is here")


def adapter(name: str) -> dict:
    """The adapter's targets, whatever their device; skips where its package is not installed."""
    file = worker.ADAPTERS / f"{name}.py"
    if absent := [each for each in worker.requirements(file) if each not in ("flash-attn", "flashinfer-python") and not installed(each)]:
        pytest.skip(f"not installed: {absent[0]}")
    return worker.load(file)


def installed(distribution: str) -> bool:
    try:
        worker.importlib.metadata.version(distribution)
    except worker.importlib.metadata.PackageNotFoundError:
        return False
    return True


@no_gpu
@pytest.mark.parametrize("name", FILES)
def test_without_a_gpu_its_targets_say_so(name):
    targets = [target for target in adapter(name).values() if getattr(target, "device", "cpu") == "cuda"]
    assert targets
    for target in targets:
        assert target.name.endswith("-cuda")
        assert worker.no_device(target) == "no GPU here"


@no_gpu
@pytest.mark.parametrize("name", ["torch:sdpa-flash-cuda", "torch-flex:compiled-cuda"])
def test_a_worker_refuses_to_serve_one(name):
    adapter(name.partition(":")[0].replace("-", "_"))
    assert worker.find(name) == (None, "no GPU here")
    (entry,) = [e for e in worker.survey(worker.ADAPTERS / f'{name.partition(":")[0].replace("-", "_")}.py') if e["name"] == name]
    assert entry["missing"] == "no GPU here" and entry["capabilities"] is None


@no_gpu
@pytest.mark.parametrize("name", ["torch:sdpa-flash-cuda", "torch:sdpa-math-cuda", "transformers:llama-sdpa-cuda"])
def test_a_device_that_pytorch_can_not_use_is_told_before_any_case(name, monkeypatch):
    """Where a driver has a device, and PyTorch is one without CUDA, say."""
    adapter(name.partition(":")[0])
    monkeypatch.setattr(attnfuzz_worker, "has_gpu", lambda: True)
    target, why_not = worker.find(name)
    assert not why_not
    if hasattr(target, "load"):
        target.load()
    with pytest.raises((AssertionError, RuntimeError)):
        worker.touch(target)
    worker.touch(adapter(name.partition(":")[0])[name.removesuffix("-cuda")])


def run_on_cpu(target, problem: dict, rules: list, align: str = "top_left") -> None:
    """The target's class, told that its device is the CPU, against attention in NumPy."""
    target.device = "cpu"
    case = cpu.make_case(problem, rules)
    case["problem"]["mask"]["align"] = align
    tensors = attnfuzz_philox.inputs(case)
    given = cpu.wide(case, tensors)
    seen = given.get("mask", np.ones((1, 1, 1, 1))) != 0
    want = cpu.attend(case["problem"], given["q"], given["k"], given["v"], seen, given.get("bias", 0.0))
    (step,) = target.run(case, tensors)
    cpu.close(case, cpu.to_layout(case, step["out"], "bhsd"), want)


@pytest.mark.parametrize("name", ["torch:sdpa-math-cuda", "torch:sdpa-flash-cuda"])
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_sdpa_on_the_cpu(name, layout):
    target = adapter("torch")[name]
    target.device = "cpu"
    target.load()
    run_on_cpu(target, {"layout": layout, "dtype": "bf16"}, [cpu.CAUSAL])
    run_on_cpu(target, {"layout": layout, "num_kv_heads": 2}, [])


def test_flex_attention_on_the_cpu():
    target = adapter("torch_flex")["torch-flex:compiled-cuda"]
    target.device, target.compiled = "cpu", None
    target.load()
    run_on_cpu(target, {}, [cpu.CAUSAL, cpu.BIAS])


def test_jax_on_the_cpu():
    target = adapter("jax")["jax:dot-product-attention-cudnn-cuda"]
    target.device, target.implementation = "cpu", "xla"
    target.load()
    run_on_cpu(target, {"dtype": "bf16"}, [cpu.CAUSAL])


def test_transformers_on_the_cpu():
    run_on_cpu(adapter("transformers")["transformers:llama-sdpa-cuda"], cpu.GQA, [cpu.CAUSAL])


def test_a_compiled_model_on_the_cpu():
    """Traced and run by PyTorch: each size once, with other inputs and masks each time."""
    target = adapter("transformers")["transformers:llama-sdpa-compiled-cuda"]
    target.backend = "aot_eager"
    target.load()
    for rules in ([cpu.CAUSAL], [cpu.CAUSAL, {"rule": "padding", "side": "left", "lens": [24, 7]}], [cpu.CAUSAL]):
        for num_kv_heads in (2, 4):
            run_on_cpu(target, {"batch": 2, "num_heads": 4, "num_kv_heads": num_kv_heads, "q_len": 24, "kv_len": 24, "head_dim": 16,
                                "head_dim_v": 16}, rules)
    assert len(target.kept) == 2


@pytest.mark.parametrize("name", FILES)
def test_the_gpu_run_gives_what_is_compiled_for_a_size_its_time(name):
    sys.path.insert(0, str(HERE.parents[2] / "tools" / "gpu"))
    from steps import STEPS

    parts = {part.target: part for step in STEPS for part in step.parts}
    for target in adapter(name).values():
        if target.name in parts and "compiled_for" in target.capabilities:
            assert parts[target.name].compiles, target.name


def test_kernels_say_what_they_are_compiled_for():
    for name, part in (("triton_attention", "fla-parallel"), ("fla_ops", "fused-recurrent"), ("fla_ops", "chunk"),
                       ("transformers", "llama-flex"), ("jax", "cudnn")):
        found = [target for each, target in adapter(name).items() if part in each and each.endswith("-cuda")]
        assert found and all("head_dim" in target.capabilities["compiled_for"] for target in found), name


def textbook(q, k, v, seen, scale, softcap):
    """Attention over [heads, len, dim] in torch's own operations."""
    import torch

    k, v = (x.repeat_interleave(q.shape[0] // x.shape[0], 0) for x in (k, v))
    score = q.float() @ k.float().transpose(1, 2) * (scale or q.shape[-1] ** -0.5)
    score = softcap * torch.tanh(score / softcap) if softcap else score
    score = score.masked_fill(~seen, float("-inf"))
    return (score.softmax(-1).nan_to_num() @ v.float()).to(q.dtype)


def lower_right(q_len, kv_len, causal, left=-1, right=-1):
    import torch

    q, k = torch.arange(kv_len - q_len, kv_len)[:, None], torch.arange(kv_len)
    seen = torch.ones(q_len, kv_len, dtype=torch.bool)
    seen = seen & (k <= q) if causal else seen
    seen = seen & (k >= q - left) if left >= 0 else seen
    return seen & (k <= q + right) if right >= 0 else seen


@pytest.mark.parametrize(("problem", "rules"), [
    ({}, []), ({"layout": "bshd"} | cpu.GQA, [cpu.CAUSAL]), (cpu.CROSS | {"softcap": 2}, [cpu.CAUSAL]), ({}, [cpu.CAUSAL, cpu.WINDOW])])
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_flash_attn_and_flashinfer_on_the_cpu(problem, rules, dtype):
    """Their classes with a stand-in for the package's function, which has its signature."""
    import torch

    def flash_attn_func(q, k, v, softmax_scale, softcap, causal, window_size):
        seen = lower_right(q.shape[1], k.shape[1], causal, *window_size)
        rows = [textbook(*(x.transpose(0, 1) for x in row), seen, softmax_scale, softcap).transpose(0, 1) for row in zip(q, k, v)]
        return torch.stack(rows)

    def single_prefill(q, k, v, sm_scale, logits_soft_cap, causal=False, window_left=-1, custom_mask=None):
        seen = custom_mask if custom_mask is not None else lower_right(len(q), len(k), causal, window_left)
        return textbook(*(x.transpose(0, 1) for x in (q, k, v)), seen, sm_scale, logits_soft_cap).transpose(0, 1)

    for name, call in (("flash_attn", flash_attn_func), ("flashinfer", single_prefill)):
        (target,) = adapter(name).values()
        target.call = call
        run_on_cpu(target, problem | {"dtype": dtype}, rules, "bottom_right")
        if name == "flashinfer":
            run_on_cpu(target, problem | {"dtype": dtype}, [*rules, cpu.RIGHT if "q_len" not in problem else cpu.KEEP], "bottom_right")


def test_every_target_on_a_gpu_is_named_so():
    """By the text: a target of device "cuda" is in a file that is tested here."""
    for file in worker.ADAPTERS.glob("*.py"):
        words = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        assert ("cuda" not in words) or file.stem in [*FILES, "fla"], file.name
