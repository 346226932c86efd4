"""ONNX Runtime's attention operators on the CPU, each as a model of one node.

What is claimed is what the operators' schemas say (onnxruntime 1.32: com.microsoft MultiHeadAttention and
GroupQueryAttention in docs/ContribOperators.md, ai.onnx Attention 23 to 25 in onnx/docs/Operators.md):
- MultiHeadAttention: as many KV heads as heads; unidirectional (used where q_len = kv_len: its alignment elsewhere is not
  written down); key_padding_mask as lengths, as [batch, kv_len] or as [batch, q_len, kv_len]; attention_bias. A hidden key
  has mask_filter_value (-10000) added to its score, hence a row without keys may hold anything.
- GroupQueryAttention: head_dim by 8, one length for q, k and v, causal = 0 from 1.32 on; local_window_size counts the
  query's own token; attention_bias is added after softcap; head_sink. Caches: growing ("dynamic"), of a given capacity
  ("fixed"), or sliding_window_cache ("ring"). Ragged steps use query_seqlens, which asks for past + q_len <= capacity.
- Attention: is_causal is aligned to the upper left without a cache; attn_mask is boolean or added; softcap comes before the
  mask; a row without keys gives zeros. f32 and f16 have a kernel in opsets 23 and 24, f64 and opset 25 run the operator's
  function body.
"""
from __future__ import annotations

import importlib.metadata
from functools import lru_cache

import numpy as np
from attnfuzz_philox import rope_frequencies
from attnfuzz_worker import (PATTERNS, RELATIVE_BIAS, Declined, additive, broadcastable, merge_heads, only_rules, rule, split_heads, to_layout,
                             visible)

REQUIRES = ["onnxruntime", "onnx", "numpy"]

SIZES = {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70],
         "head_dim": [1, 64], "head_dim_v": [1, 64], "steps": [0, 6]}
DATA = ["data:large", "data:constant", "data:one_hot", "data:tiny", "layout:bhsd", "layout:bshd"]
DYNAMIC = ["cache:dynamic", "step:prefill", "step:append", "step:decode", "step:reorder", "step:crop", "step:reset"]
DENSE = ["rule:causal", "rule:window", "rule:chunk", "rule:prefix", "rule:documents", "rule:padding", "rule:boolean",
         "rule:bias", "rule:alibi", "chunk.origin:slot", "chunk.origin:token", "padding.side:left", "padding.side:right",
         "align:top_left", "align:bottom_right", "cross", "longer_q", "boolean.shape:qk", "boolean.shape:bqk",
         *(f"bias.shape:{shape}" for shape in ("qk", "bqk", "hqk", "bhqk")), *PATTERNS, *RELATIVE_BIAS]
GQA_CACHES = ["dynamic", "fixed", "ring"]
TYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16}
ONLY_UNCACHED = ["chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi", "block_sparse", "dilated", "spans", "tree",
                 "packed", "indices", "relative_bias"]


@lru_cache(maxsize=512)
def session(operator: str, opset: int, inputs: tuple, outputs: int, attributes: tuple):
    """A model of one node. inputs: (dtype, rank) or None for one left out; opset 0: com.microsoft."""
    import onnxruntime
    from onnx import helper

    names = [f"in{i}" if spec else "" for i, spec in enumerate(inputs)]
    node = helper.make_node(operator, names, [f"out{i}" for i in range(outputs)], domain="" if opset else "com.microsoft",
                            **dict(attributes))
    element = {name: helper.np_dtype_to_tensor_dtype(np.dtype(spec[0])) for name, spec in zip(names, inputs) if spec}
    graph = helper.make_graph(
        [node], operator,
        [helper.make_tensor_value_info(name, element[name], [None] * spec[1]) for name, spec in zip(names, inputs) if spec],
        [helper.make_tensor_value_info(f"out{i}", element["in0"], None) for i in range(outputs)])
    opsets = [helper.make_opsetid("", opset or 21), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(helper.make_model(graph, opset_imports=opsets, ir_version=11).SerializeToString(),
                                        options, providers=["CPUExecutionProvider"])


def call(operator: str, opset: int, arrays: list, outputs: int, **attributes) -> list[np.ndarray]:
    """Runs the operator on its inputs in order (None: left out)."""
    while arrays[-1] is None:
        arrays.pop()
    inputs = tuple(None if a is None else (a.dtype.str, a.ndim) for a in arrays)
    runner = session(operator, opset, inputs, outputs, tuple(sorted(attributes.items())))
    return runner.run(None, {f"in{i}": np.ascontiguousarray(a) for i, a in enumerate(arrays) if a is not None})


def call_in_place(operator: str, opset: int, arrays: list, outputs: int, shared: dict, **attributes) -> list[np.ndarray]:
    """The same, with the outputs of `shared` (output: input) in those inputs' own memory, as a decoding loop binds its cache."""
    import onnxruntime

    inputs = tuple(None if a is None else (a.dtype.str, a.ndim) for a in arrays)
    runner = session(operator, opset, inputs, outputs, tuple(sorted(attributes.items())))
    binding = runner.io_binding()
    held = [None if a is None else np.ascontiguousarray(a) for a in arrays]  # a value does not own its array
    values = [None if a is None else onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in held]
    for i, value in enumerate(values):
        if value is not None:
            binding.bind_ortvalue_input(f"in{i}", value)
    for i in range(outputs):
        if i in shared:
            binding.bind_ortvalue_output(f"out{i}", values[shared[i]])
        else:
            binding.bind_output(f"out{i}")
    runner.run_with_iobinding(binding)
    return [held[shared[i]] if i in shared else np.array(value.numpy()) for i, value in enumerate(binding.get_outputs())]


def numbers(case: dict) -> dict:
    """The attributes that are left out at their defaults."""
    p = case["problem"]
    return ({} if p["scale"] is None else {"scale": float(p["scale"])}) | (
        {"softcap": float(p["softcap"])} if p["softcap"] else {})


def steps(case: dict, tensors: dict, cache):
    """Plays the case's steps on a cache with attend(q, k, v, lens), reorder, crop, reset and lengths()."""
    for i, step in enumerate(case["steps"]):
        out, op = None, step["op"]
        if op in ("prefill", "append", "decode"):
            out = cache.attend(*(tensors[f"{name}.{i}"] for name in "qkv"), step.get("lens") or None)
        elif op == "reorder":
            cache.reorder(step["rows"])
        else:
            cache.crop(step["length"] if op == "crop" else 0)
        yield {"out": out, "lengths": cache.lengths()}


class Growing:
    """past and present as these operators pass them on: [batch, kv_heads, length, dim], longer after each step."""

    def __init__(self, case: dict, dtype, attend):
        p = case["problem"]
        self.run, self.batch = attend, p["batch"]
        self.past = [np.zeros((p["batch"], p["num_kv_heads"], 0, p[dim]), dtype) for dim in ("head_dim", "head_dim_v")]

    def attend(self, q, k, v, lens):
        out, *self.past = self.run(q, k, v, *self.past)
        return out

    def reorder(self, rows):
        self.past = [p[rows] for p in self.past]

    def crop(self, length):
        self.past = [p[:, :, :length] for p in self.past]

    def lengths(self):
        return [self.past[0].shape[2]] * self.batch


def positions_seen(case: dict, past: int, new: int) -> np.ndarray:
    """[new, past + new] booleans: causal and window rules of a cached step."""
    q, k = np.arange(past, past + new)[:, None], np.arange(past + new)[None, :]
    seen = np.ones((new, past + new), bool)
    if rule(case, "causal"):
        seen &= k <= q
    if window := rule(case, "window"):
        seen &= (k >= q - window["left"]) & (k <= q + window["right"])
    return seen


class Operator:
    version = importlib.metadata.version("onnxruntime")

    def load(self) -> None:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401

    def run(self, case: dict, tensors: dict):
        return steps(case, tensors, self.cache(case, tensors)) if case.get("cache") else [
            {"out": self.once(case, tensors)}]


class MultiHeadAttention(Operator):
    name, about = "onnxruntime:MultiHeadAttention", "com.microsoft MultiHeadAttention"
    capabilities = {
        "sizes": SIZES, "equal": [["num_heads", "num_kv_heads"]],
        "features": ["dtype:f32", "scale", "head_dim_v", "fully_masked:any", *DENSE, *DATA, *DYNAMIC],
        "excludes": [[f"rule:{name}", "cache:dynamic"] for name in ONLY_UNCACHED + ["window"]] + [
            ["head_dim_v", "cache:dynamic"]],  # past_value's last size is head_size
    }

    def padding(self, case: dict, tensors: dict):
        """key_padding_mask in the shortest of its forms that says all but what unidirectional does."""
        p, padding = case["problem"], rule(case, "padding")
        if not padding or not only_rules(case, "padding", *(["causal"] if p["q_len"] == p["kv_len"] else [])):
            return visible(tensors)[:, 0].astype(np.int32)
        lens = np.array(padding["lens"], np.int32)
        if padding["side"] == "right":
            return lens
        return (np.arange(p["kv_len"]) >= p["kv_len"] - lens[:, None]).astype(np.int32)

    def once(self, case: dict, tensors: dict) -> np.ndarray:
        p, causal = case["problem"], {}
        q, k, v = (merge_heads(case, tensors[name]) for name in "qkv")
        if rule(case, "causal") and p["q_len"] == p["kv_len"]:
            causal = {"unidirectional": 1}
        hidden = None
        if not only_rules(case, "bias", "alibi", *(["causal"] if causal else [])):
            hidden = self.padding(case, tensors)
        bias = broadcastable(tensors["bias"]) if "bias" in tensors else None
        out, = call("MultiHeadAttention", 0, [q, k, v, None, hidden, bias], 1, num_heads=p["num_heads"], **causal,
                    **numbers(case))
        return split_heads(case, out, p["num_heads"])

    def cache(self, case: dict, tensors: dict) -> Growing:
        heads = case["problem"]["num_heads"]

        def attend(q, k, v, past_k, past_v):
            q, k, v = (merge_heads(case, x) for x in (q, k, v))
            out, *present = call("MultiHeadAttention", 0, [q, k, v, None, None, None, past_k, past_v], 3, num_heads=heads,
                                 unidirectional=int(bool(rule(case, "causal"))), **numbers(case))
            return split_heads(case, out, heads), *present

        return Growing(case, np.float32, attend)


class Attention(Operator):
    def __init__(self, name: str, about: str, opset: int, dtypes: list[str], precision: dict):
        self.name, self.about, self.opset = name, about, opset
        self.capabilities = {
            "sizes": SIZES, "precision": precision,
            "features": [*dtypes, "gqa", "mqa", "scale", "softcap", "head_dim_v", "fully_masked:zero", *DENSE, *DATA,
                         *DYNAMIC, "boolean.shape:hqk", "boolean.shape:bhqk"],
            "excludes": [[f"rule:{name}", "cache:dynamic"] for name in ONLY_UNCACHED],
        }

    def operator(self, case: dict, opset: int, arrays: list, outputs: int, **attributes) -> list[np.ndarray]:
        """With 4-D inputs for bhsd and 3-D ones for bshd; `arrays` begins with q, k, v in the case's layout."""
        p = case["problem"]
        if p["layout"] == "bhsd":
            return call("Attention", opset, arrays, outputs, **numbers(case), **attributes)
        arrays[:3] = [merge_heads(case, x) for x in arrays[:3]]
        out, *present = call("Attention", opset, arrays, outputs, **numbers(case), **attributes,
                             q_num_heads=p["num_heads"], kv_num_heads=p["num_kv_heads"])
        return [split_heads(case, out, p["num_heads"]), *present]

    def window(self, case: dict) -> dict:
        """The window as attributes (opset 25); its rule is then not in the mask."""
        window = rule(case, "window")
        return {"left_window_size": window["left"], "right_window_size": window["right"]} if (
            window and self.opset >= 25) else {}

    def once(self, case: dict, tensors: dict) -> np.ndarray:
        p, attributes, said = case["problem"], {}, []
        padding, nonpad, opset = rule(case, "padding"), None, self.opset
        if p["q_len"] == p["kv_len"] or p["mask"]["align"] == "top_left":
            if rule(case, "causal"):
                attributes["is_causal"] = 1
                said.append("causal")
            if window := self.window(case):
                attributes |= window
                said.append("window")
        if padding and padding["side"] == "right" and not attributes:  # else it would move is_causal's diagonal
            nonpad, opset = np.array(padding["lens"], np.int64), max(opset, 24)
            said.append("padding")
        mask = None
        if "bias" in tensors:
            mask = additive(case, tensors, tensors["q"].dtype)
        elif not only_rules(case, *said):
            mask = visible(tensors)
        if mask is not None:
            mask = broadcastable(mask)
            while mask.shape[0] == 1 and mask.ndim > 2:
                mask = mask[0]
        return self.operator(case, opset, [tensors["q"], tensors["k"], tensors["v"], mask, None, None, nonpad], 1,
                             **attributes)[0]

    def cache(self, case: dict, tensors: dict) -> Growing:
        causal = {"is_causal": 1} if rule(case, "causal") else {}

        def attend(q, k, v, past_k, past_v):
            attributes, mask = causal | self.window(case), None
            if rule(case, "window") and "left_window_size" not in attributes:
                mask = positions_seen(case, past_k.shape[2], to_layout(case, q, "bhsd").shape[2])
            return self.operator(case, self.opset, [q, k, v, mask, past_k, past_v], 3, **attributes)

        return Growing(case, TYPES[case["problem"]["dtype"]], attend)


class Buffers:
    """GroupQueryAttention's past and present: rows of their own lengths, right-padded to one length."""

    def __init__(self, case: dict, dtype, operator):
        self.case, self.operator, self.kind = case, operator, case["cache"]["kind"]
        p, size = case["problem"], case["cache"].get("capacity", 0)
        self.size = 0 if self.kind == "dynamic" else size
        self.past = [np.zeros((p["batch"], p["num_kv_heads"], self.size, p["head_dim"]), dtype) for _ in range(2)]
        self.tokens = np.zeros(p["batch"], np.int64)

    def attend(self, q, k, v, lens):
        new = to_layout(self.case, q, "bhsd").shape[2]
        real = np.array([new] * len(self.tokens) if lens is None else lens)
        total = self.tokens + real
        ragged = (real != new).any() or (new > 1 and len(real) > 1 and self.tokens.any())
        bound = int((self.tokens + new).max() if ragged else total.max())
        if ragged and not total.all():
            raise Declined("query_seqlens asks for at least one token in each row's cache: T >= 1")
        if ragged and self.kind == "fixed" and bound > self.size:
            raise Declined("query_seqlens asks for room for the whole padded chunk: past + q_len <= capacity")
        seqlens = real.astype(np.int32) if ragged else None
        out, *self.past = self.operator(q, k, v, *self.past, total, bound, seqlens)
        self.tokens = total
        return out

    def reorder(self, rows):
        self.past, self.tokens = [p[rows] for p in self.past], self.tokens[rows]

    def crop(self, length):
        self.tokens = np.minimum(self.tokens, length)
        if self.kind == "dynamic":
            self.past = [p[:, :, :length] for p in self.past]

    def lengths(self):
        return [int(min(n, self.size) if self.kind == "ring" else n) for n in self.tokens]


def rotary_tables(p: dict, dtype) -> list[np.ndarray]:
    """GroupQueryAttention's cos_cache and sin_cache, for more positions than any case has."""
    angles = np.arange(128)[:, None] * rope_frequencies(p, p["head_dim"] // 2)
    size = p.get("rope_scaling", {}).get("magnitude", 1)
    return [(size * np.cos(angles)).astype(dtype), (size * np.sin(angles)).astype(dtype)]


class GroupQueryAttention(Operator):
    name, about = "onnxruntime:GroupQueryAttention", "com.microsoft GroupQueryAttention"
    shared: dict = {}  # output: the input in whose memory it lies
    capabilities = {
        "precision": {"f16": {"rope": "f16"}},  # cos_cache and sin_cache have the inputs' type
        "sizes": SIZES | {"head_dim": [8, 64, 8], "head_dim_v": [8, 64, 8], "capacity": [0, 70]},
        "equal": [["head_dim", "head_dim_v"]],
        "features": ["dtype:f32", "dtype:f16", "gqa", "mqa", "scale", "softcap", "sinks", "rule:causal", "rule:window",
                     "rule:bias", "rule:alibi", *(f"bias.shape:{shape}" for shape in ("qk", "bqk", "hqk", "bhqk")), *DATA,
                     *DYNAMIC, "cache:fixed", "cache:ring", "ragged", "rope:half", "rope:interleaved",
                     *(f"rope_scaling:{law}" for law in ("linear", "ntk", "dynamic_ntk", "yarn", "llama3")), "rope_magnitude"],
        "excludes": [[f"rule:{name}", f"cache:{kind}"] for name in ("bias", "alibi") for kind in GQA_CACHES] + [
            ["cache:ring", "step:crop"]],
        "requires": [["rule:window", "rule:causal"], *([f"cache:{kind}", "rule:causal"] for kind in GQA_CACHES)],
    }

    def operator(self, case: dict, q, k, v, past_k, past_v, total, bound, query_seqlens, bias=None, sinks=None):
        p, window = case["problem"], rule(case, "window")
        attributes = {"num_heads": p["num_heads"], "kv_num_heads": p["num_kv_heads"], **numbers(case)}
        if not rule(case, "causal"):
            attributes["causal"] = 0
        width = [window["left"] + 1] if window else []
        if case.get("cache") and case["cache"]["kind"] == "ring":
            width.append(case["cache"]["capacity"])
            attributes["sliding_window_cache"] = 1
        if width:
            attributes["local_window_size"] = min(width)
        cos = sin = None
        if p.get("rope", "none") != "none":
            if p["head_dim"] % 16:
                raise Declined("do_rotary: head_size must be a multiple of 16 (the operator's own check)")
            attributes |= {"do_rotary": 1, "rotary_interleaved": int(p["rope"] == "interleaved")}
            cos, sin = rotary_tables(p, q.dtype)
        arrays = [merge_heads(case, q), merge_heads(case, k), merge_heads(case, v), past_k, past_v,
                  (total - 1).astype(np.int32), np.array(bound, np.int32), cos, sin, None, bias, sinks, None, None, None,
                  None, query_seqlens]
        if self.shared:
            while arrays[-1] is None:
                arrays.pop()
            out, *present = call_in_place("GroupQueryAttention", 0, arrays, 3, self.shared, **attributes)
        else:
            out, *present = call("GroupQueryAttention", 0, arrays, 3, **attributes)
        return split_heads(case, out, p["num_heads"]), *present

    def once(self, case: dict, tensors: dict) -> np.ndarray:
        p = case["problem"]
        bias = broadcastable(tensors["bias"]) if "bias" in tensors else None
        return self.operator(case, tensors["q"], tensors["k"], tensors["v"], None, None, np.full(p["batch"], p["kv_len"]),
                             p["kv_len"], None, bias, tensors.get("sinks"))[0]

    def cache(self, case: dict, tensors: dict) -> Buffers:
        return Buffers(case, TYPES[case["problem"]["dtype"]], lambda *a: self.operator(case, *a, sinks=tensors.get("sinks")))


class SharedBuffer(GroupQueryAttention):
    """A cache of a given capacity, each step's present in its past's memory."""

    name, about = "onnxruntime:GroupQueryAttention-shared", "com.microsoft GroupQueryAttention, past and present one buffer"
    shared = {1: 3, 2: 4}
    capabilities = GroupQueryAttention.capabilities | {
        "features": [f for f in GroupQueryAttention.capabilities["features"]
                     if f not in ("cache:dynamic", "cache:ring", "rule:bias", "rule:alibi") and not f.startswith("bias.shape")],
        "sizes": GroupQueryAttention.capabilities["sizes"] | {"steps": [1, 6], "head_dim": [16, 64, 16], "head_dim_v": [16, 64, 16]},
        "excludes": [], "requires": [["rule:window", "rule:causal"], ["cache:fixed", "rule:causal"], ["dtype:f32", "cache:fixed"],
                                     ["dtype:f16", "cache:fixed"]]}


def targets() -> list:
    low = {"accumulate": "f16", "p": "f16", "scores": "f16"}
    return [
        MultiHeadAttention(), GroupQueryAttention(), SharedBuffer(),
        Attention("onnxruntime:Attention", "ai.onnx Attention, opsets 23 and 24", 23,
                  ["dtype:f32", "dtype:f16", "dtype:f64"], {"f16": low}),
        Attention("onnxruntime:Attention-25", "ai.onnx Attention, opset 25 (the operator's function body)", 25,
                  ["dtype:f32", "dtype:f64"], {}),
    ]
