"""OpenVINO's ScaledDotProductAttention on its CPU device, in two models of one operation:

- `openvino:sdpa`: alone. The CPU device decomposes it into products and a softmax, and fuses these anew.
- `openvino:sdpa-stateful`: keys and values pass through state variables and a gather by beam, as exported language models have
  them. The CPU device makes one fused kernel of it, which owns the cache. A case without steps runs on an empty cache.

What is claimed is what the operation's specification says (ScaledDotProductAttention-13): `causal` is aligned to the upper left and
excludes attention_mask; a mask is boolean (True takes part) or added; the scale is free, 1/sqrt(E) by default. A row that sees no key
is a softmax of -inf alone there: it may hold anything. Grouped heads are repeated by Broadcast and Reshape in front of the operation,
as exported models do. Both precision hints and the cache's precision are set to f32: their defaults round.
"""
from __future__ import annotations

import importlib.metadata
from functools import lru_cache

import numpy as np
from attnfuzz_worker import additive, broadcastable, only_rules, rule, to_layout, visible

REQUIRES = ["openvino", "numpy"]

RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi"]
FEATURES = ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "head_dim_v", "scale", "fully_masked:any",
            "align:top_left", "align:bottom_right", "chunk.origin:slot", "chunk.origin:token", "padding.side:left", "padding.side:right",
            "data:large", "data:constant", "data:one_hot", "data:tiny", *(f"rule:{name}" for name in RULES),
            *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk", "hqk", "bhqk"))]
STEPS = ["cache:dynamic", *(f"step:{name}" for name in ("prefill", "append", "decode", "reorder", "crop", "reset"))]
SIZES = {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70], "head_dim": [1, 64],
         "head_dim_v": [1, 64]}
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}


@lru_cache(maxsize=2048)
def compiled(kind: str, sizes: tuple, mask: str, causal: bool, scaled: bool):
    """A compiled model; its inputs are q, k, v, then the beams of a stateful one, mask and scale.

    sizes: heads, KV heads, head sizes of keys and values (-1: any); none: any, as many KV heads as heads. mask: "", "f32" or "boolean".
    """
    import openvino as ov
    from openvino import opset13 as ops

    heads, kv_heads, dim, dim_v = sizes or (-1,) * 4
    q, k, v = (ops.parameter([-1, h, -1, d], np.float32) for h, d in ((heads, dim), (kv_heads, dim), (kv_heads, dim_v)))
    inputs, assigned, keys = [q, k, v], [], [k, v]
    if kind == "stateful":
        inputs.append(beams := ops.parameter([-1], np.int32))
        for i, (name, d) in enumerate((("keys", dim), ("values", dim_v))):
            keys[i] = ops.concat([past(q, kv_heads, d, name, beams), keys[i]], 2)
            assigned.append(ops.assign(keys[i], name))
    if heads != kv_heads:
        keys = [repeated(x, heads, kv_heads, d) for x, d in zip(keys, (dim, dim_v))]
    given = {}
    if mask:
        inputs.append(ops.parameter([-1, -1, -1, -1], np.float32 if mask == "f32" else np.bool_))
        given["attention_mask"] = inputs[-1]
    if scaled:
        inputs.append(ops.parameter([], np.float32))
        given["scale"] = inputs[-1]
    out = ops.scaled_dot_product_attention(q, *keys, causal=causal, **given)
    return ov.Core().compile_model(ov.Model([ops.result(out)], assigned, inputs), "CPU", SETTINGS)


def size_of(node, axis: int):
    from openvino import opset13 as ops

    return ops.gather(ops.shape_of(node, "i64"), np.array([axis]), np.int64(0))


def past(q, kv_heads: int, dim: int, name: str, beams):
    """What the variable holds, its rows chosen by beam; empty at first."""
    from openvino import opset13 as ops

    empty = ops.broadcast(np.float32(0), ops.concat([size_of(q, 0), np.array([kv_heads, 0, dim])], 0))
    return ops.gather(ops.read_value(empty, name, np.float32, [-1, kv_heads, -1, dim]), beams, np.int64(0))


def repeated(x, heads: int, kv_heads: int, dim: int):
    """Each KV head as often as it has query heads."""
    from openvino import opset13 as ops

    last = size_of(x, 3) if dim < 0 else np.array([dim])
    shape = ops.concat([size_of(x, 0), np.array([kv_heads, heads // kv_heads]), size_of(x, 2), last], 0)
    final = ops.concat([np.array([0, heads]), size_of(x, 2), last], 0)
    return ops.reshape(ops.broadcast(ops.unsqueeze(x, np.int64(2)), shape, "BIDIRECTIONAL"), final, True)


def said(case: dict, tensors: dict) -> tuple[np.ndarray | None, bool]:
    """The mask to give and whether `causal` says it all."""
    p = case["problem"]
    if only_rules(case, "causal") and p["mask"]["rules"] and (p["q_len"] == p["kv_len"] or p["mask"]["align"] == "top_left"):
        return None, True
    mask = additive(case, tensors) if "bias" in tensors else visible(tensors)
    return (None if mask is None else np.ascontiguousarray(broadcastable(mask))), False


def sizes(case: dict, kind: str) -> tuple:
    """Those that the model is compiled for: a model with state has to know them, and so has one with grouped heads."""
    p = case["problem"]
    grouped = p["num_heads"] != p["num_kv_heads"]
    heads, dims = (p["num_heads"], p["num_kv_heads"]), (p["head_dim"], p["head_dim_v"])
    return (*heads, *dims) if kind else (*heads, -1, -1) if grouped else ()


class Sdpa:
    def __init__(self, kind: str, about: str, more_features: list, more_sizes: dict):
        self.kind, self.about = kind, about
        self.name = "openvino:sdpa" + f"-{kind}" * bool(kind)
        self.version = importlib.metadata.version("openvino")
        self.capabilities = {
            "sizes": SIZES | more_sizes, "features": FEATURES + more_features,
            "excludes": [[f"rule:{name}", "cache:dynamic"] for name in RULES if name not in ("causal", "window")] if more_features else [],
            "tiles": {"q_len": [32, 64], "kv_len": [16, 32, 64], "head_dim": [16, 32]}, "precision": {"f32": {"exp_ulps": 20, "flush_subnormals": True}}}

    def load(self) -> None:
        import openvino  # noqa: F401

    def request(self, case: dict, mask: np.ndarray | None, causal: bool):
        words = "" if mask is None else "boolean" if mask.dtype == bool else "f32"
        return compiled(self.kind, sizes(case, self.kind), words, causal, case["problem"]["scale"] is not None).create_infer_request()

    def infer(self, request, case: dict, q, k, v, mask, beams=None) -> np.ndarray:
        scale = case["problem"]["scale"]
        arrays = [np.ascontiguousarray(to_layout(case, x, "bhsd")) for x in (q, k, v)]
        arrays += [] if self.kind == "" else [np.arange(len(q), dtype=np.int32) if beams is None else beams]
        arrays += [] if mask is None else [mask]
        arrays += [] if scale is None else [np.array(scale, np.float32)]
        request.infer(arrays)
        return to_layout(case, np.array(request.get_output_tensor(0).data), "bhsd")

    def run(self, case: dict, tensors: dict):
        if case.get("steps"):
            return self.steps(case, tensors)
        mask, causal = said(case, tensors)
        request = self.request(case, mask, causal)
        return [{"out": self.infer(request, case, *(tensors[name] for name in "qkv"), mask)}]

    def steps(self, case: dict, tensors: dict):
        """Plays the steps on one request, which keeps the cache between them."""
        import openvino as ov

        masked = bool(case["problem"]["mask"]["rules"])
        request = self.request(case, np.zeros((), np.float32) if masked else None, False)
        held, beams = 0, None  # tokens; a choice of rows that the next call applies
        for i, step in enumerate(case["steps"]):
            out = None
            if step["op"] == "reorder":
                beams = np.array(step["rows"], np.int32) if beams is None else beams[step["rows"]]
            elif step["op"] == "reset":
                request.reset_state()
                held, beams = 0, None
            elif step["op"] == "crop":
                held = min(held, step["length"])
                for state in request.query_state():
                    state.state = ov.Tensor(np.ascontiguousarray(state.state.data[:, :, :held]))
            else:
                q, k, v = (tensors[f"{name}.{i}"] for name in "qkv")
                mask = seen(case, held, step["q_len"]) if masked else None
                out, beams = self.infer(request, case, q, k, v, mask, beams), None
                held = request.query_state()[0].state.shape[2]
            yield {"out": out, "lengths": [int(held)] * case["problem"]["batch"]}


def seen(case: dict, held: int, new: int) -> np.ndarray:
    """The additive mask of a step, [1, 1, new, held + new]."""
    q, k = np.arange(held, held + new)[:, None], np.arange(held + new)[None]
    visible = np.ones((new, held + new), bool)
    if rule(case, "causal"):
        visible &= k <= q
    if window := rule(case, "window"):
        visible &= (k >= q - window["left"]) & (k <= q + window["right"])
    return np.where(visible, 0, -np.inf).astype(np.float32)[None, None]


def targets() -> list:
    return [Sdpa("", "ScaledDotProductAttention alone, decomposed by the CPU device", [], {}),
            Sdpa("stateful", "ScaledDotProductAttention with its cache in state variables, one fused kernel", STEPS,
                 {"head_dim": [16, 64, 16], "head_dim_v": [16, 64, 16], "steps": [0, 6]})]
