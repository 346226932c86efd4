"""Recording calls of ONNX Runtime, of JAX, and of packages that need a GPU, which have stand-ins here."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import recordings

import attnfuzz


def random(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape, dtype=np.float32)


GQA = {"num_heads": 4, "kv_num_heads": 2}
LENS = {"seqlens_k": np.array([4, 4], np.int32), "total_sequence_length": np.array(5, np.int32)}
NEW = {"q": random(2, 5, 32), "k": random(2, 5, 16), "v": random(2, 5, 16)}
ONE = {"q": random(2, 1, 32), "k": random(2, 1, 16), "v": random(2, 1, 16)}
PAST = {"past_k": random(2, 2, 4, 8), "past_v": random(2, 2, 4, 8)}
NONE = {"past_k": None, "past_v": None}
NODES = {  # operator, domain, inputs, attributes, how many outputs → the rules of the Case
    "attention": ("Attention", "", {"q": random(2, 4, 5, 8), "k": random(2, 2, 5, 8), "v": random(2, 2, 5, 8)},
                  {"is_causal": 1}, 1, ["causal"]),
    "three axes": ("Attention", "", NEW | {"mask": random(5, 5) > -0.5}, {"q_num_heads": 4, "kv_num_heads": 2,
                                                                          "softcap": 2.0}, 1, ["boolean"]),
    "multi-head": ("MultiHeadAttention", "com.microsoft",
                   {"q": random(2, 5, 32), "k": random(2, 7, 32), "v": random(2, 7, 32), "bias": None,
                    "padding": np.array([4, 7], np.int32)}, {"num_heads": 4}, 1, ["padding"]),
    "grouped": ("GroupQueryAttention", "com.microsoft", NEW | NONE | LENS, GQA | {"local_window_size": 3}, 3,
                ["causal", "window"]),
    "decode": ("GroupQueryAttention", "com.microsoft", ONE | PAST | LENS, GQA | {"softcap": 3.0}, 3, ["causal"]),
}


def model(operator, domain, inputs, attributes, outputs):
    """An attention node with another node behind it, so that its output is none of the model's."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    names = ["inside", *(f"present{n}" for n in range(1, outputs))]
    nodes = [helper.make_node(operator, [name if array is not None else "" for name, array in inputs.items()], names,
                              domain=domain, name="/model/layers.3/attn", **attributes),
             helper.make_node("Neg", ["inside"], ["out"])]
    given = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim)
             for name, array in inputs.items() if array is not None]
    out = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "model", given, [out])
    opsets = [helper.make_opsetid("", 24), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=11).SerializeToString()


@pytest.mark.parametrize("name", NODES)
def test_onnx_runtime(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    operator, domain, inputs, attributes, outputs, rules = NODES[name]
    data = model(operator, domain, inputs, attributes, outputs)
    feed = {name: array for name, array in inputs.items() if array is not None}
    options = runtime.SessionOptions()
    options.log_severity_level = 4

    def session():
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    with attnfuzz.record(tmp_path):
        recorded = session()
        assert [each.name for each in recorded.get_outputs()] == ["out"]
        (first,), (again,) = recorded.run(None, feed), recorded.run(["out"], feed)
    assert np.array_equal(first, session().run(None, feed)[0]) and np.array_equal(first, again)
    found = recordings.calls(tmp_path)
    assert [(call.right, call.rules, call.entry["layer"], call.entry["step"]) for call in found] == [
        (True, rules, 3, 0), (True, rules, 3, 1)]


def test_jax(tmp_path):
    jax = pytest.importorskip("jax")
    q, k = (jax.numpy.asarray(random(2, n, heads, 8)) for n, heads in ((5, 4), (7, 2)))
    attend = jax.nn.dot_product_attention
    with attnfuzz.record(tmp_path):
        jax.nn.dot_product_attention(q, k, k, is_causal=True)
        jax.nn.dot_product_attention(q, k, k, key_value_seq_lengths=jax.numpy.array([3, 7]))
        jax.nn.dot_product_attention(q[0], k[0], k[0])
        jax.jit(jax.nn.dot_product_attention)(q, k, k)
    assert jax.nn.dot_product_attention is attend
    assert [(call.right, call.rules) for call in recordings.calls(tmp_path)] == [
        (True, ["causal"]), (True, ["padding"]), (True, [])]
    assert "traced" in recordings.load(tmp_path)["not_kept"][0]["why"]


@pytest.fixture
def stand_in(monkeypatch):
    """A package of this name with functions that compute on the CPU what the real ones do."""
    pytest.importorskip("torch")

    def make(name, **functions):
        module = ModuleType(name)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make


def by_masks(q, k, v, seen):
    import torch

    heads = [x.transpose(1, 2) for x in (q, k, v)]
    return torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=seen).transpose(1, 2)


def test_flash_attn(stand_in, tmp_path):
    import torch

    def band(q_len, kv_len, left, right):
        position, key = torch.arange(q_len)[:, None] + kv_len - q_len, torch.arange(kv_len)
        return (key >= position - left) & (key <= position + right)

    def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0):
        left = window_size[0] if window_size[0] >= 0 else 99
        return by_masks(q, k, v, band(q.shape[1], k.shape[1], left, 0 if causal else 99))

    def flash_attn_varlen_func(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, causal=False):
        parts = [flash_attn_func(*(x[None, a:b] for x, (a, b) in ((q, at), (k, to), (v, to))), causal=causal)[0]
                 for at, to in zip(zip(cu_seqlens_q, cu_seqlens_q[1:]), zip(cu_seqlens_k, cu_seqlens_k[1:]))]
        return torch.cat(parts)

    package = stand_in("flash_attn", flash_attn_func=flash_attn_func, flash_attn_varlen_func=flash_attn_varlen_func)
    q, k = torch.from_numpy(random(2, 5, 4, 8)), torch.from_numpy(random(2, 7, 4, 8))
    with attnfuzz.record(tmp_path):
        package.flash_attn_func(q, k, k, causal=True)
        package.flash_attn_func(q, k, k, window_size=(2, -1))
        ends = torch.tensor([0, 2, 5]), torch.tensor([0, 4, 7])
        package.flash_attn_varlen_func(q[0], q[0], q[0], ends[0], ends[0], 3, 3, causal=True)
        package.flash_attn_varlen_func(q[0], k[0], k[0], *ends, 3, 4, causal=True)
    assert [(call.right, call.rules, call.problem["layout"]) for call in recordings.calls(tmp_path)] == [
        (True, ["causal"], "bshd"), (True, ["window"], "bshd"), (True, ["causal", "documents"], "bshd"),
        (True, ["causal", "packed"], "bshd")]


def test_xformers(stand_in, tmp_path):
    import torch

    class Lower:
        def materialize(self, shape, dtype=torch.float32, device="cpu"):
            return torch.zeros(shape).masked_fill(torch.ones(shape[-2:]).triu(1).bool(), -torch.inf)

    def memory_efficient_attention(query, key, value, attn_bias=None, p=0.0, scale=None):
        sizes = query.shape[0], query.shape[2], query.shape[1], key.shape[1]
        bias = attn_bias.materialize(sizes) if hasattr(attn_bias, "materialize") else attn_bias
        return by_masks(query, key, value, bias)

    package = stand_in("xformers.ops", memory_efficient_attention=memory_efficient_attention)
    q = torch.from_numpy(random(2, 5, 4, 8))
    with attnfuzz.record(tmp_path):
        package.memory_efficient_attention(q, q, q, attn_bias=Lower())
        package.memory_efficient_attention(q, q, q, torch.from_numpy(random(2, 4, 5, 5)))
        package.memory_efficient_attention(q, q, q, p=0.5)
    assert [(call.right, call.rules) for call in recordings.calls(tmp_path)] == [(True, ["boolean"]), (True, ["bias"])]
