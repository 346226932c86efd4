"""Recording calls of PyTorch: what is caught, what its Case says, and that a program runs as before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent))
import recordings

import attnfuzz

sdpa = torch.nn.functional.scaled_dot_product_attention
torch.set_num_threads(1)


def functional(*args, **kwargs):
    return torch.nn.functional.scaled_dot_product_attention(*args, **kwargs)


def random(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


Q, KV = random(2, 4, 5, 8), random(2, 2, 7, 8)
CAUSAL = {"is_causal": True}
CALLS = {  # arguments, options → the rules of the Case
    "plain": ((Q, KV[:, :1], KV[:, :1]), {}, []),
    "causal": ((Q, Q, Q), CAUSAL, ["causal"]),
    "grouped": ((Q, KV, KV), CAUSAL | {"enable_gqa": True, "scale": 0.3}, ["causal"]),
    "boolean": ((Q, Q, Q), {"attn_mask": torch.ones(5, 5).tril().bool()}, ["boolean"]),
    "rows": ((Q, Q, Q), {"attn_mask": torch.eye(5).bool().expand(2, 1, 5, 5)}, ["boolean"]),
    "bias": ((Q, Q, Q), {"attn_mask": random(1, 4, 5, 5)}, ["bias"]),
    "both": ((Q, Q, Q), {"attn_mask": random(2, 1, 5, 5).masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)},
             ["boolean", "bias"]),
    "three axes": ((Q[0], Q[0], Q[0]), {"attn_mask": torch.ones(4, 5, 5).tril().bool()}, ["boolean"]),
    "no key": ((Q, Q, Q), {"attn_mask": torch.ones(5, 5).tril(-1).bool()}, ["boolean"]),
    "bfloat16": ((Q.bfloat16(),) * 3, CAUSAL, ["causal"]),
    "float16": ((Q.half(),) * 3, {}, []),
    "strided": ((Q.transpose(1, 2),) * 3, {}, []),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_becomes_a_case(name, tmp_path):
    args, options, rules = CALLS[name]
    with attnfuzz.record(tmp_path):
        out = functional(*args, **options)
    assert torch.equal(out, sdpa(*args, **options))
    (call,) = recordings.calls(tmp_path)
    assert call.right and call.rules == rules
    assert call.entry["where"].startswith("record_test.py:") and call.entry["where"].endswith(" in functional")


def test_a_wrong_kernel_is_seen(tmp_path):
    with attnfuzz.record(tmp_path) as recording:
        wrong = recording.recorder.wrap(lambda *a, **k: sdpa(*a, **k) * 1.01, caught_kind())
        wrong(Q, Q, Q)
    assert [call.right for call in recordings.calls(tmp_path)] == [False]


def caught_kind():
    from attnfuzz_record._recorder import Caught
    from attnfuzz_record.catch import torch_sdpa

    return Caught("mine", torch_sdpa.describe, torch_sdpa.results)


def test_the_module_its_layer_and_the_step(tmp_path):
    class Attention(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    model = torch.nn.Sequential(torch.nn.ModuleDict({"attn": Attention()})["attn"], Attention())
    with attnfuzz.record(tmp_path):
        for _ in range(2):
            model(Q)
    assert [(each["module"], each["layer"], each["step"]) for each in recordings.load(tmp_path)["calls"]] == [
        ("0", 0, 0), ("1", 1, 0), ("0", 0, 1), ("1", 1, 1)]


def reasons(folder):
    return {each["why"]: each["count"] for each in recordings.load(folder)["not_kept"]}


def test_a_registered_function_may_name_its_arguments_as_it_likes(tmp_path):
    from attnfuzz_record.catch.transformers import wrapped

    def mine(layer, q, k, v, mask, *, scaling=None, **more):
        return sdpa(q, k, v, attn_mask=mask, scale=scaling).transpose(1, 2), None

    with attnfuzz.record(tmp_path) as recording:
        wrapped("mine", mine, recording.recorder)(torch.nn.Identity(), Q, Q, Q, torch.ones(5, 5).tril().bool(),
                                                  scaling=0.4, sliding_window=2)
    (call,) = recordings.calls(tmp_path)
    assert call.right and call.rules == ["boolean"] and call.problem["scale"] == 0.4


def test_limits(tmp_path):
    with attnfuzz.record(tmp_path / "calls", calls=2), attnfuzz.record(tmp_path / "every", every=3):
        for _ in range(7):
            functional(Q, Q, Q)
    with attnfuzz.record(tmp_path / "new", new=True):
        for _ in range(3):
            functional(Q, Q, Q)
            functional(Q, Q, Q, is_causal=True)
    with attnfuzz.record(tmp_path / "bytes", megabytes=0.001):
        for _ in range(3):
            functional(Q, Q, Q)
    kept = {name: len(recordings.load(tmp_path / name)["calls"]) for name in ("calls", "every", "new", "bytes")}
    assert kept == {"calls": 2, "every": 3, "new": 2, "bytes": 1}
    assert reasons(tmp_path / "calls") == {"the limit of 2 calls was reached": 5}
    assert reasons(tmp_path / "new") == {"its shapes and options were seen before": 4}


def test_what_no_case_can_say_is_counted(tmp_path):
    with attnfuzz.record(tmp_path):
        functional(Q, Q, Q, dropout_p=0.5)
        torch.vmap(functional)(Q, Q, Q)
        functional(Q, Q, Q, attn_mask=torch.full((5, 5), torch.nan))
    assert len(recordings.load(tmp_path)["calls"]) == 0
    assert set(reasons(tmp_path)) == {
        "dropout: which weights were dropped is not known", "a mask or bias with NaN or +inf",
        "tensors without memory of their own (meta, torch.func)"}


def test_an_error_of_a_call_and_one_beside_it(tmp_path):
    class Model(torch.nn.Module):
        def forward(self, x):
            return x + torch.ones(x.shape[-1] + 1)

    with pytest.raises(RuntimeError), attnfuzz.record(tmp_path / "call"):
        functional(Q, Q, Q, attn_mask=torch.ones(5, 5, dtype=torch.float64))
    (call,) = recordings.load(tmp_path / "call")["calls"]
    assert call["error"].startswith("RuntimeError: ") and "outputs" not in call
    with pytest.raises(RuntimeError), attnfuzz.record(tmp_path / "beside"):
        torch.nn.Sequential(Model())(Q)
    (why,) = reasons(tmp_path / "beside")
    assert why.startswith("the program raised RuntimeError: The size of tensor a (8)") and why.endswith("in 0 (Model)")


def test_everything_is_put_back(tmp_path):
    before = torch.nn.functional.scaled_dot_product_attention
    meta = list(sys.meta_path)
    with attnfuzz.record(tmp_path):
        assert torch.nn.functional.scaled_dot_product_attention is not before
    assert torch.nn.functional.scaled_dot_product_attention is before and sys.meta_path == meta


def test_inside_of_compiled_code(tmp_path):
    compiled = torch.compile(functional, backend="aot_eager", fullgraph=True)
    with attnfuzz.record(tmp_path / "compiled"):
        compiled(Q, Q, Q)
    torch.compiler.reset()
    with attnfuzz.record(tmp_path / "eager", eager=True):
        compiled(Q, Q, Q)
    assert len(recordings.load(tmp_path / "compiled")["calls"]) == 0
    assert [why for why in reasons(tmp_path / "compiled") if why.startswith("torch.compile made 1 graph")]
    assert len(recordings.calls(tmp_path / "eager")) == 1


def test_scripted_code_still_compiles(tmp_path):
    def scripted(x: torch.Tensor):
        return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    with attnfuzz.record(tmp_path):
        assert torch.equal(torch.jit.script(scripted)(Q), sdpa(Q, Q, Q))


def capped(score, b, h, i, j):
    return 20 * torch.tanh(score / 20)


def leaning(score, b, h, i, j):
    return score - 0.5 * (i - j)


FLEX = {  # score_mod → rules, softcap
    "plain": (None, ["boolean"], 0), "softcap": (capped, ["boolean"], 20.0), "bias": (leaning, ["boolean", "bias"], 0)}


@pytest.mark.parametrize("name", FLEX)
def test_flex_attention(name, tmp_path):
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    block = flex.create_block_mask(lambda b, h, i, j: j <= i + b, 2, None, 5, 7, device="cpu")
    modify, rules, softcap = FLEX[name]
    with attnfuzz.record(tmp_path), torch.inference_mode():
        flex.flex_attention(Q, KV, KV, score_mod=modify, block_mask=block, enable_gqa=True)
        flex.flex_attention(Q, KV, KV, score_mod=lambda score, *_: score * 2, enable_gqa=True)
    (call,) = recordings.calls(tmp_path)
    assert call.right and call.rules == rules and call.problem["softcap"] == pytest.approx(softcap)
    assert set(reasons(tmp_path)) == {"a score_mod that is neither a softcap nor a bias"}


PROGRAM = """
import multiprocessing, sys, torch
from torch.nn.functional import scaled_dot_product_attention as attend
torch.set_num_threads(1)

def work(n):
    x = torch.randn(1, 2, n, 4)
    attend(x, x, x, is_causal=True)

if __name__ == "__main__":
    work(3)
    for n, way in ((4, "spawn"), (6, "fork")):
        other = multiprocessing.get_context(way).Process(target=work, args=(n,))
        other.start(); other.join()
    print(sys.argv[1:])
    sys.exit(int(sys.argv[-1]))
"""


def launch(folder, *words):
    """`python -m attnfuzz_record`, as the command `attnfuzz record` runs it."""
    package = Path(sys.modules["attnfuzz_record"].__file__).parent.parent
    return subprocess.run([sys.executable, "-m", "attnfuzz_record", *words], capture_output=True, text=True, cwd=folder,
                          env=os.environ | {"PYTHONPATH": str(package)})


def test_a_program_and_its_processes(tmp_path):
    (tmp_path / "serve.py").write_text(PROGRAM)
    done = launch(tmp_path, "-o", "kept", "--calls", "9", "--", sys.executable, "serve.py", "--calls", "5")
    assert done.returncode == 5 and done.stdout == "['--calls', '5']\n", done.stderr
    lengths = set()
    for folder in tmp_path.glob("kept*"):
        (call,) = recordings.calls(folder)
        assert call.right and call.entry["where"] == "serve.py:8 in work"
        lengths.add(call.problem["q_len"])
    assert lengths == {3, 4, 6}


def test_a_program_that_raises(tmp_path):
    (tmp_path / "serve.py").write_text("import torch\ntorch.ones(2) + torch.ones(3)\n")
    done = launch(tmp_path, "-o", "kept", "--", sys.executable, "serve.py")
    assert done.returncode == 1 and "RuntimeError" in done.stderr
    (why,) = reasons(tmp_path / "kept")
    assert why.startswith("the program raised RuntimeError: The size of tensor a (2)")


@pytest.mark.parametrize("words", [[], ["-o", "kept"], ["-o", "kept", "--calls", "0", "--", "true"],
                                   ["-o", "kept", "--", "no-such-program"]])
def test_wrong_usage(words, tmp_path):
    done = launch(tmp_path, *words)
    assert done.returncode == 2 and "attnfuzz record: error: " in done.stderr and "Traceback" not in done.stderr
