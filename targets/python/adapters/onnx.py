"""ONNX's own reference evaluator (onnx.reference) on the Attention operator, opsets 23 and 24.

What is claimed is what the operator's schema says (onnx/docs/Operators.md): is_causal is aligned to the upper left; attn_mask is
boolean (True takes part) or added; softcap comes before the mask; a row without keys gives zeros; as many KV heads as divide
the heads. The evaluator computes in NumPy in the inputs' type.
"""
from __future__ import annotations

import importlib.metadata
from functools import lru_cache

import numpy as np
from attnfuzz_worker import additive, only_rules, to_layout, visible

REQUIRES = ["onnx", "numpy"]
RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi"]


@lru_cache(maxsize=512)
def evaluator(opset: int, types: tuple, attributes: tuple):
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = [f"in{i}" for i in range(len(types))]
    node = helper.make_node("Attention", names, ["out"], **dict(attributes))
    element = [helper.np_dtype_to_tensor_dtype(np.dtype(t)) for t in types]
    graph = helper.make_graph([node], "attention", [helper.make_tensor_value_info(n, e, None) for n, e in zip(names, element)],
                              [helper.make_tensor_value_info("out", element[0], None)])
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=11))


class Attention:
    version = importlib.metadata.version("onnx")
    capabilities = {
        "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70],
                  "head_dim": [1, 64], "head_dim_v": [1, 64]},
        "features": ["dtype:f64", "dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "head_dim_v", "scale",
                     "softcap", "fully_masked:zero", "align:top_left", "align:bottom_right", "chunk.origin:slot",
                     "chunk.origin:token", "padding.side:left", "padding.side:right", "data:large", "data:constant",
                     "data:one_hot", *(f"rule:{name}" for name in RULES),
                     *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk", "hqk", "bhqk"))],
    }

    def __init__(self, opset: int):
        self.opset = opset
        self.name, self.about = f"onnx:reference-{opset}", f"onnx.reference, Attention, opset {opset}"

    def load(self) -> None:
        import onnx.reference  # noqa: F401

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p, attributes, mask = case["problem"], {}, None
        if p["scale"] is not None:
            attributes["scale"] = float(p["scale"])
        if p["softcap"]:
            attributes["softcap"] = float(p["softcap"])
        if only_rules(case, "causal") and p["mask"]["rules"] and (p["q_len"] == p["kv_len"] or p["mask"]["align"] == "top_left"):
            attributes["is_causal"] = 1
        else:
            mask = additive(case, tensors, tensors["q"].dtype) if "bias" in tensors else visible(tensors)
        arrays = [to_layout(case, tensors[name], "bhsd") for name in "qkv"] + ([] if mask is None else [mask])
        run = evaluator(self.opset, tuple(a.dtype.str for a in arrays), tuple(sorted(attributes.items())))
        out = run.run(None, {f"in{i}": np.ascontiguousarray(a) for i, a in enumerate(arrays)})[0]
        return [{"out": to_layout(case, out, "bhsd")}]


def targets() -> list:
    return [Attention(23), Attention(24)]
