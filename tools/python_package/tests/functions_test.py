"""Which arrays and which keywords a function gets, its gradients and its log-sum-exp."""

import functools
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import attnfuzz

sys.path.insert(0, str(Path(__file__).parent))
import reference
from reference import attention


def numpy_lse(q, k, v):
    s = q.astype(np.float64) @ k.swapaxes(-1, -2).astype(np.float64) * q.shape[-1] ** -0.5
    top = s.max(-1, keepdims=True)
    p = np.exp(s - top)
    total = p.sum(-1, keepdims=True)
    return (p / total @ v).astype(q.dtype), (top + np.log(total))[..., 0].astype(np.float32)


def module_of(source, **names):
    """A module whose functions no other module names."""
    module = types.ModuleType("made_up_module")
    vars(module).update(names)
    exec(source, vars(module))
    sys.modules["made_up_module"] = module
    return module


HELPERS = """
import torch
def _inner(q, k, v):
    return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v

class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v):
        return _inner(q, k, v)

apply = _Attention.apply
def through_function(q, k, v):
    return _Attention.apply(q, k, v)

def through_helper(q, k, v):
    return _inner(q, k, v)

@torch.no_grad()
def decorated(q, k, v):
    return _inner(q, k, v)

def only_imports(q, k, v):
    s = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    return s.softmax(-1) @ v

def converts(q, k, v):
    return _inner(torch.from_numpy(q), torch.from_numpy(k), torch.from_numpy(v))
"""


@pytest.mark.parametrize("name", ["through_function", "through_helper", "decorated", "only_imports", "apply"])
def test_torch_functions_get_tensors(name):
    torch = pytest.importorskip("torch")
    fn = getattr(module_of(HELPERS, torch=torch), name)
    result = attnfuzz.check(fn, cases=20, isolate=False)
    assert result.arrays == "torch" and result, result
    assert attnfuzz.check(functools.partial(fn), cases=5).arrays == "torch"


def test_a_trial_call_decides_against_the_names():
    torch = pytest.importorskip("torch")
    result = attnfuzz.check(module_of(HELPERS, torch=torch).converts, cases=20)
    assert result and result.arrays == "numpy" and "a trial call works with it" in dict(result.notes)["arrays"]


def test_torch_is_tried_where_nothing_names_it():
    pytest.importorskip("torch")

    def plain(q, k, v):
        return ((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5).softmax(-1) @ v

    result = attnfuzz.check(plain, cases=20)
    assert result.arrays == "torch" and result, result


def test_a_function_that_fails_with_every_kind_gets_what_its_code_names():
    result = attnfuzz.check(lambda q, k, v: np.zeros(3)[7], cases=5)
    assert result.arrays == "numpy" and result.findings[0].kind == "error"


@pytest.mark.parametrize("parameters, words", [
    ("q, k, v, cu_seqlens_q", "nothing to hand to the required parameter cu_seqlens_q; .*the words q, k, v, mask, causal"),
    ("q, k, v, a, b, *, c", "required parameters a, b, c"),
    ("q, k", "expected a function of .q, k, v, ….*found the parameters .q, k."),
    ("*, a, b, c", "expected a function of"),
])
def test_functions_that_cannot_be_called(parameters, words):
    fn = eval(f"lambda {parameters}: 1 / 0")
    with pytest.raises(attnfuzz.InputError, match=words):
        attnfuzz.check(fn)


@pytest.mark.parametrize("name", ["scale", "softmax_scale", "sm_scale", "qk_scale", "scaling"])
def test_a_scale_has_many_names(name):
    required = eval(f"lambda q, k, v, {name}: attention(q, k, v, scale={name} * 1.0)", {"attention": attention})
    optional = eval(f"lambda q, k, v, {name}=None: attention(q, k, v, scale={name})", {"attention": attention})
    for fn in (required, optional):
        result = attnfuzz.check(fn, cases=40)
        assert result and "scale" in result.covered, result


def test_required_options_get_no_none():
    def fn(q, k, v, mask, bias):
        assert mask.dtype == bool
        return attention(q, k, v, mask, bias)

    assert attnfuzz.check(fn, cases=60)

    def window(q, k, v, window, lens):
        return reference.flags(q, k, v, False, (window[0], window[1]), [int(n) for n in lens])

    assert attnfuzz.check(window, cases=60, align="top_left")


def test_parameters_that_are_never_used_are_told():
    def fn(q, k, v, mask=None, block=64, dropout_p=0.0):
        return attention(q, k, v, mask)

    assert dict(attnfuzz.check(fn, cases=5).notes)["defaults"].startswith("block, dropout_p: ")


def test_hidden_keywords():
    def hides(*args, **kwargs):
        return attention(*args, **kwargs)

    result = attnfuzz.check(hides, cases=20)
    assert result and "rule:causal" not in result.covered and "keywords=" in dict(result.notes)["keywords"]
    assert "softcap" in attnfuzz.check(hides, cases=60, keywords=["mask", "softcap"]).covered
    with pytest.raises(attnfuzz.InputError, match="keywords: sofcap is no option; expected some of mask/attn_mask"):
        attnfuzz.check(hides, keywords=["sofcap"])
    with pytest.raises(attnfuzz.InputError, match="keywords: the function has no parameter softcap"):
        attnfuzz.check(lambda q, k, v: v, keywords="softcap")


def test_dtypes_are_said_in_any_way():
    torch = pytest.importorskip("torch")

    def half(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    for dtype in (torch.float16, np.float16, "float16", "f16", [torch.float16]):
        assert "dtype:f16" in attnfuzz.check(half, cases=5, dtype=dtype).covered
    with pytest.raises(attnfuzz.InputError, match="dtype:int32.*did you mean 'dtype:f32'"):
        attnfuzz.check(half, dtype=torch.int32)


def test_unknown_words_come_with_the_list():
    with pytest.raises(attnfuzz.InputError, match="zebra.*expected one of .*gqa"):
        attnfuzz.check(attention, features="zebra")


def test_log_sum_exp():
    result = attnfuzz.check(numpy_lse, cases=40, lse=True)
    assert result and result.covered["lse"] > 0

    def base_two(q, k, v):
        out, lse = numpy_lse(q, k, v)
        return out, lse / np.float32(np.log(2))

    assert not attnfuzz.check(base_two, cases=40, lse=True)
    result = attnfuzz.check(attention, cases=20, lse=True)
    assert "expected (out, lse)" in result.findings[0].error


def test_gradients_of_torch_functions():
    torch = pytest.importorskip("torch")

    def right(q, k, v, attn_mask=None, attn_bias=None):
        s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        s = s if attn_bias is None else s + attn_bias
        s = s if attn_mask is None else s.masked_fill(~attn_mask, float("-inf"))
        return torch.softmax(s, -1) @ v

    result = attnfuzz.check(right, cases=60, gradients=True, dtype="f64")
    assert result and {"dq", "dk", "dv", "dbias"} <= set(result.covered), result

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, q, k, v):
            ctx.save_for_backward(q, k, v)
            return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v

        @staticmethod
        def backward(ctx, grad):
            q, k, v = ctx.saved_tensors
            p = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1)
            ds = p * (grad @ v.transpose(-1, -2))  # without the row's sum
            scaled = ds * q.shape[-1] ** -0.5
            return scaled @ k, scaled.transpose(-1, -2) @ q, p.transpose(-1, -2) @ grad

    def wrong(q, k, v):
        return Wrong.apply(q, k, v)

    assert attnfuzz.check(wrong, cases=30)
    result = attnfuzz.check(wrong, cases=30, gradients=True)
    assert result.findings and {"dq", "dk"} & set(result.findings[0].case.features)
    assert attnfuzz.replay(wrong, result.findings[0].case) is not None
    assert attnfuzz.replay(right, result.findings[0].case) is None


def test_gradients_of_jax_functions():
    jax = pytest.importorskip("jax")

    def fn(q, k, v):
        return jax.nn.softmax(q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5) @ v

    assert "dq" in attnfuzz.check(fn, cases=10, gradients=True).covered


def test_gradients_that_the_function_returns():
    def returns(q, k, v, grad_out=None):
        s = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
        p = np.exp(s - s.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        out = p @ v
        if grad_out is None:
            return out
        dp = grad_out @ v.swapaxes(-1, -2)
        ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * q.shape[-1] ** -0.5
        every = {"out": out, "dq": ds @ k, "dk": ds.swapaxes(-1, -2) @ q, "dv": p.swapaxes(-1, -2) @ grad_out}
        return every

    result = attnfuzz.check(returns, cases=40, dtype="f64")
    assert result and "dq" in result.covered, result


def test_gradients_that_nothing_gives():
    with pytest.raises(attnfuzz.InputError, match="dq is claimed, but .*grad_out, case.*gradients=True"):
        attnfuzz.check(lambda q, k, v: v, features=["dq"])
    with pytest.raises(attnfuzz.InputError, match="expected a parameter grad_out"):
        attnfuzz.check(attention, gradients=True, isolate=False, arrays="numpy")


class WithGradients:
    """An adapter whose dq can be wrong."""

    name, version, factor = "mine:grads", "1", 1.0
    capabilities = {"sizes": {"batch": [1, 2], "num_heads": [1, 2], "q_len": [1, 6], "kv_len": [1, 6],
                              "head_dim": [1, 8]},
                    "features": ["dtype:f64", "layout:bhsd", "dq", "dk", "dv", "lse", "cross", "longer_q"]}

    def run(self, case, tensors):
        q, k, v = (tensors[name] for name in "qkv")
        s = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
        top = s.max(-1, keepdims=True)
        p = np.exp(s - top)
        total = p.sum(-1, keepdims=True)
        p /= total
        step = {"out": p @ v, "lse": (top + np.log(total))[..., 0]}
        if "grad_out" in tensors:
            dp = tensors["grad_out"] @ v.swapaxes(-1, -2)
            ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * q.shape[-1] ** -0.5
            step |= {"dq": ds @ k * self.factor, "dk": ds.swapaxes(-1, -2) @ q,
                     "dv": p.swapaxes(-1, -2) @ tensors["grad_out"]}
        yield step


def test_an_adapters_gradients_are_judged():
    result = attnfuzz.check(WithGradients(), cases=60)
    assert result and {"dq", "lse"} <= set(result.covered), result
    wrong = WithGradients()
    wrong.factor = 0.5
    assert "dq" in attnfuzz.check(wrong, cases=60).findings[0].case.features



def test_device():
    torch = pytest.importorskip("torch")
    seen = set()

    def fn(q, k, v):
        seen.add(str(q.device))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    assert attnfuzz.check(fn, cases=10, device="cpu") and seen == {"cpu"}
    if not torch.cuda.is_available():
        with pytest.raises(attnfuzz.InputError, match="device='cuda': torch has no such device here"):
            attnfuzz.check(fn, device="cuda")
    with pytest.raises(attnfuzz.InputError, match="NumPy's arrays are on the CPU"):
        attnfuzz.check(attention, device="cuda")


def test_a_device_that_faults_ends_the_worker(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    (tmp_path / "faulty_kernel.py").write_text("""
import torch
dead = False
def fn(q, k, v):
    global dead
    if q.shape[0] == 3: dead = True
    if dead: raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    import faulty_kernel

    result = attnfuzz.check(faulty_kernel.fn, cases=60, device="cpu")
    assert len(result.findings) == 1 and result.findings[0].case.problem["batch"] == 3
    assert result.passed > 20, result  # a new worker goes on behind each


def test_modules_with_asarray():
    module = types.ModuleType("mine")
    module.asarray = np.asarray
    assert attnfuzz.check(attention, arrays=module, cases=10)
    with pytest.raises(attnfuzz.InputError, match="expected a module with asarray, from_dlpack, .* arrays, not mine"):
        del module.asarray
        attnfuzz.check(attention, arrays=module, cases=10)
