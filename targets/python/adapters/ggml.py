"""ggml's flash attention on the CPU (ggml_flash_attn_ext), from the llama.cpp that xllamacpp's wheel brings, by ctypes.

What is claimed is what ggml.h and the CPU's kernel say: q in f32, k and v in f32 or f16, the mask an f16 tensor that is added
(hence a bias in f16 cases alone), `max_bias` for ALiBi's slopes times the mask, softcap before the mask, sinks, grouped heads (head h
reads KV head h / (n_head / n_head_kv)), a row that sees no key gives zeros. The output is f32, [batch, len, heads, dim]; an f16
case's is rounded. f16: q and the sums of p times v are f16 where rows are taken one by one, f32 in the tiled form. One thread, and
three: with several, a decode over 512 keys or more is split between them.
"""
from __future__ import annotations

import ctypes
import importlib.metadata
from ctypes import c_bool, c_float, c_int, c_int64, c_size_t, c_void_p
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from attnfuzz_worker import Declined, additive, broadcastable, foreign_functions, to_layout

REQUIRES = ["xllamacpp", "numpy"]

F32, F16 = 0, 1  # enum ggml_type
RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias", "alibi"]
LARGEST_BIAS = 8.0  # ALiBi's slopes are powers of 2^(-8 / heads)


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", c_size_t), ("mem_buffer", c_void_p), ("no_alloc", c_bool)]


SIGNATURES = {  # result, then arguments
    "ggml_init": [c_void_p, InitParams], "ggml_free": [None, c_void_p], "ggml_get_data": [c_void_p, c_void_p],
    "ggml_new_tensor_4d": [c_void_p, c_void_p, c_int, *[c_int64] * 4],
    "ggml_permute": [c_void_p, c_void_p, c_void_p, *[c_int] * 4],
    "ggml_flash_attn_ext": [c_void_p, *[c_void_p] * 5, *[c_float] * 3], "ggml_flash_attn_ext_add_sinks": [None, c_void_p, c_void_p],
    "ggml_new_graph": [c_void_p, c_void_p], "ggml_build_forward_expand": [None, c_void_p, c_void_p],
    "ggml_graph_compute_with_ctx": [c_int, c_void_p, c_void_p, c_int],
}


class FlashAttention:
    def __init__(self, name: str, threads: int):
        self.name, self.threads = name, threads
        self.version = importlib.metadata.version("xllamacpp")
        self.about = f"ggml_flash_attn_ext on the CPU, {threads} thread{'s' * (threads > 1)}"
        self.capabilities = {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 140], "kv_len": [1, 600],
                      "head_dim": [1, 64], "head_dim_v": [1, 64]},
            "features": ["dtype:f32", "dtype:f16", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q", "head_dim_v", "scale",
                         "softcap", "sinks", "fully_masked:zero", "align:top_left", "align:bottom_right", "chunk.origin:slot",
                         "chunk.origin:token", "padding.side:left", "padding.side:right", "data:constant", "data:one_hot",
                         *(f"rule:{name}" for name in RULES),
                         *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk", "hqk", "bhqk"))],
            "excludes": [["rule:bias", "dtype:f32"], ["rule:bias", "rule:alibi"]],
            "precision": {"f32": {"exp_ulps": 20}, "f16": {"accumulate": "f16", "p": "f16", "scores": "f32", "exp_ulps": 20}},
            "tiles": {"q_len": [64], "kv_len": [64, 512], "head_dim": [16, 32]},
        }

    def load(self) -> None:
        self.ggml = foreign_functions(next(Path(find_spec("xllamacpp").origin).parent.glob("xllamacpp*.so")), SIGNATURES)

    def tensor(self, context, array: np.ndarray) -> int:
        """A tensor that holds the 4-D array."""
        kind = F16 if array.dtype == np.float16 else F32
        tensor = self.ggml["ggml_new_tensor_4d"](context, kind, *array.shape[::-1])
        array = np.ascontiguousarray(array)
        ctypes.memmove(self.ggml["ggml_get_data"](tensor), array.ctypes.data, array.nbytes)
        return tensor

    def heads_first(self, context, case: dict, array: np.ndarray) -> int:
        """[batch, heads, len, dim] as ggml sees it; a case in bshd is handed over so and permuted, as llama.cpp does."""
        tensor = self.tensor(context, array)
        return tensor if case["problem"]["layout"] == "bhsd" else self.ggml["ggml_permute"](context, tensor, 0, 2, 1, 3)

    def mask(self, case: dict, tensors: dict) -> tuple[np.ndarray | None, float]:
        """The f16 mask and max_bias, by which ggml makes ALiBi's slopes itself."""
        p = case["problem"]
        alibi = any(r["rule"] == "alibi" for r in p["mask"]["rules"])
        if alibi and p["num_heads"] & (p["num_heads"] - 1):
            raise Declined("max_bias has the slopes of ALiBi's authors where the number of heads is no power of two (n_head_log2)")
        mask = additive(case, tensors)
        if alibi:
            slope = 2.0 ** (-LARGEST_BIAS * (np.arange(p["num_heads"]) + 1) / p["num_heads"])
            mask = np.where(np.isinf(mask), mask, np.rint(mask / slope[:, None, None].astype(np.float32)))
        return (None if mask is None else broadcastable(mask).astype(np.float16)), LARGEST_BIAS if alibi else 0.0

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p = case["problem"]
        mask, max_bias = self.mask(case, tensors)
        given = [tensors["q"].astype(np.float32), tensors["k"], tensors["v"], *([] if mask is None else [mask])]
        size = sum(x.nbytes for x in given) + 4 * p["batch"] * p["num_heads"] * p["q_len"] * p["head_dim_v"]
        context = self.ggml["ggml_init"](InitParams(2 * size + (16 << 20), None, False))  # the work buffer is in it too
        try:
            q, k, v = (self.heads_first(context, case, x) for x in given[:3])
            node = self.ggml["ggml_flash_attn_ext"](
                context, q, k, v, None if mask is None else self.tensor(context, mask),
                p["scale"] if p["scale"] is not None else p["head_dim"] ** -0.5, max_bias, p["softcap"])
            if p["sinks"]:
                self.ggml["ggml_flash_attn_ext_add_sinks"](node, self.tensor(
                    context, tensors["sinks"].astype(np.float32).reshape(1, 1, 1, -1)))
            graph = self.ggml["ggml_new_graph"](context)
            self.ggml["ggml_build_forward_expand"](graph, node)
            if status := self.ggml["ggml_graph_compute_with_ctx"](context, graph, self.threads):
                raise RuntimeError(f"ggml_graph_compute_with_ctx: status {status}")
            shape = (p["batch"], p["q_len"], p["num_heads"], p["head_dim_v"])
            out = np.empty(shape, np.float32)
            ctypes.memmove(out.ctypes.data, self.ggml["ggml_get_data"](node), out.nbytes)
        finally:
            self.ggml["ggml_free"](context)
        return [{"out": to_layout(case, out, "bshd").astype(tensors["q"].dtype)}]


def targets() -> list:
    return [FlashAttention("ggml:flash-attn", 1), FlashAttention("ggml:flash-attn-threads", 3)]
