"""llama.cpp's KV cache, in a model of one layer that this file writes: the library's own decoding, batching and cache code, from the
build that xllamacpp's wheel brings, by ctypes.

How the exact answer is had: a batch brings embeddings; a token's is its q, k and v one behind the other, its number in the batch (the
library computes a batch in parts, in an order of its own), and two numbers that make the mean square GAIN squared, so that the layer's RMS
norm (epsilon 0) divides by GAIN exactly; the weights of q, k and v pick their parts times GAIN; the scheduler's callback reads the norm's
output, where the number is, and the attention's. Output and feed-forward weights are zeros.

A row is a sequence, and a padded token is not put into a batch. reorder and fork are seq_rm and seq_cp, crop is seq_rm to the end, evict is
seq_rm, and where positions are shifted seq_add: the library turns the cached keys by it. The cache is in f32, without flash attention.
`llama-cpp:unified` has one buffer for all sequences (kv_unified), `llama-cpp:streams` one for each, the default.

Words: architecture "llama" turns pairs 2n, 2n + 1, "seed_oss" n, n + dim / 2; without rope the angles are positions times 1e-30.
"""
from __future__ import annotations

import ctypes
import importlib.metadata
import struct
import tempfile
from ctypes import c_bool, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint32, c_void_p
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from attnfuzz_worker import Declined, foreign_functions, merge_heads, split_heads

REQUIRES = ["xllamacpp", "numpy"]

F32 = 0  # enum ggml_type
NORMED, ATTENDED = b"attn_norm-0", b"kqv_out-0"  # what the graph calls them
NO_ROPE = 1e-30
GAIN = 256.0
CONSECUTIVE = "llama_decode asks that a sequence's positions stay consecutive: the next token stands behind the last one that is held"
ARCHITECTURES = {"none": "llama", "interleaved": "llama", "half": "seed_oss"}
EVALUATED = ctypes.CFUNCTYPE(c_bool, c_void_p, c_bool, c_void_p)
LOGGED = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)


class ModelParams(ctypes.Structure):
    """llama_model_params."""

    _fields_ = [("devices", c_void_p), ("tensor_buft_overrides", c_void_p),
                *((name, c_int32) for name in ("n_gpu_layers", "split_mode", "load_mode", "lazy_mode", "main_gpu")),
                *((name, c_void_p) for name in ("tensor_split", "progress_callback", "progress_callback_user_data", "kv_overrides")),
                *((name, c_bool) for name in ("vocab_only", "check_tensors", "use_extra_bufts", "no_host", "no_alloc", "load_mtp"))]


class ContextParams(ctypes.Structure):
    """llama_context_params; `newer` is what build 11549 has there beside llama.h of a few builds before."""

    _fields_ = [*((name, c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq", "n_outputs_max",
                                                "n_outputs_max_per_seq")),
                *((name, c_int32) for name in ("n_threads", "n_threads_batch", "ctx_type", "rope_scaling_type", "pooling_type",
                                               "attention_type", "flash_attn_type")),
                *((name, c_float) for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor",
                                               "yarn_beta_fast", "yarn_beta_slow")),
                ("yarn_orig_ctx", c_uint32), ("defrag_thold", c_float), ("cb_eval", EVALUATED), ("cb_eval_user_data", c_void_p),
                ("type_k", c_int), ("type_v", c_int), ("abort_callback", c_void_p), ("abort_callback_data", c_void_p), ("newer", c_void_p),
                *((name, c_bool) for name in ("embeddings", "offload_kqv", "no_perf", "op_offload", "swa_full", "kv_unified")),
                ("samplers", c_void_p), ("n_samplers", c_size_t), ("ctx_other", c_void_p)]


class Batch(ctypes.Structure):
    """llama_batch."""

    _fields_ = [("n_tokens", c_int32), ("token", c_void_p), ("embd", c_void_p), ("pos", c_void_p), ("n_seq_id", c_void_p),
                ("seq_id", c_void_p), ("logits", c_void_p)]


SIGNATURES = {  # result, then arguments
    "llama_backend_init": [None], "llama_log_set": [None, LOGGED, c_void_p], "llama_model_default_params": [ModelParams],
    "llama_context_default_params": [ContextParams], "llama_model_load_from_file": [c_void_p, c_char_p, ModelParams],
    "llama_model_free": [None, c_void_p], "llama_init_from_model": [c_void_p, c_void_p, ContextParams], "llama_free": [None, c_void_p],
    "llama_decode": [c_int32, c_void_p, Batch],
    "llama_get_memory": [c_void_p, c_void_p], "llama_memory_clear": [None, c_void_p, c_bool],
    "llama_memory_seq_rm": [c_bool, c_void_p, *[c_int32] * 3], "llama_memory_seq_cp": [None, c_void_p, *[c_int32] * 4],
    "llama_memory_seq_add": [None, c_void_p, *[c_int32] * 4], "llama_memory_seq_pos_max": [c_int32, c_void_p, c_int32],
    "ggml_get_name": [c_char_p, c_void_p], "ggml_get_data": [c_void_p, c_void_p], "ggml_nbytes": [c_size_t, c_void_p],
}


def word(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def typed(value) -> bytes:
    """A value of a GGUF file's header behind the number of its type."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + word(value)
    return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)


def gguf(values: dict, tensors: dict[str, np.ndarray]) -> bytes:
    """A GGUF file, version 3, with tensors of f32."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(values)) + b"".join(word(k) + typed(v) for k, v in values.items())
    body = b""
    for name, array in tensors.items():
        head += word(name) + struct.pack(f"<I{array.ndim}QIQ", array.ndim, *array.shape[::-1], F32, len(body))
        body += padded(array.astype(np.float32).tobytes())
    return padded(head) + body


def padded(text: bytes) -> bytes:
    return text + bytes(-len(text) % 32)


class Shape:
    """The sizes of a model, and where q, k and v lie in a token's embedding."""

    def __init__(self, heads: int, kv_heads: int, dim: int):
        self.parts = {"q": heads * dim, "k": kv_heads * dim, "v": kv_heads * dim}
        self.heads, self.kv_heads, self.dim = heads, kv_heads, dim
        self.embedding = sum(self.parts.values()) + 3

    def embed(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        """[tokens, embedding]: each token with its number and two that make the mean of the squares GAIN squared.

        The sum is taken as the library takes it: each square in f32, their sum in f64.
        """
        known = np.concatenate([q, k, v, np.arange(len(q), dtype=np.float32)[:, None]], -1)
        left = self.embedding * GAIN**2 - np.square(known).astype(np.float64).sum(-1)
        first = np.sqrt(left).astype(np.float32)
        first = np.where(np.square(first) > left, np.nextafter(first, np.float32(0)), first)
        second = np.sqrt(np.maximum(left - np.square(first), 0)).astype(np.float32)
        return np.concatenate([known, first[:, None], second[:, None]], -1)

    def file(self, architecture: str, rope_base: float) -> bytes:
        """The model, as a file."""
        n, inner = self.embedding, self.heads * self.dim
        values = {"block_count": 1, "context_length": 4096, "embedding_length": n, "feed_forward_length": 1, "vocab_size": 1,
                  "attention.head_count": self.heads, "attention.head_count_kv": self.kv_heads, "attention.key_length": self.dim,
                  "attention.value_length": self.dim, "attention.layer_norm_rms_epsilon": 0.0,
                  "rope.dimension_count": self.dim, "rope.freq_base": rope_base}
        eye, start, tensors = GAIN * np.eye(n), 0, {}
        for name, size in self.parts.items():
            tensors[f"blk.0.attn_{name}.weight"] = eye[start:start + size]
            start += size
        ones = ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm" if architecture == "llama" else "blk.0.post_attention_norm")
        shapes = {"token_embd": (1, n), "blk.0.attn_output": (n, inner), "blk.0.ffn_gate": (1, n), "blk.0.ffn_up": (1, n),
                  "blk.0.ffn_down": (n, 1)}
        tensors |= {f"{name}.weight": np.ones(n) for name in ones} | {f"{name}.weight": np.zeros(shape) for name, shape in shapes.items()}
        header = {"general.architecture": architecture, "tokenizer.ggml.model": "none"}
        return gguf(header | {f"{architecture}.{name}": value for name, value in values.items()}, tensors)


class Session:
    """A context with the case's rows as sequences; sequences behind them are for a reorder's copies."""

    def __init__(self, target: "Target", case: dict):
        p = case["problem"]
        self.case, self.target, self.llama, self.batch = case, target, target.llama, p["batch"]
        self.shape = Shape(p["num_heads"], p["num_kv_heads"], p["head_dim"])
        self.held: list[list[int]] = [[] for _ in range(self.batch)]  # positions of each row's tokens, as a caller keeps them
        self.seen = {NORMED: [], ATTENDED: []}
        self.read = EVALUATED(self.evaluated)
        params = self.llama["llama_context_default_params"]()
        params.n_ctx = params.n_batch = params.n_ubatch = target.slots * (1 if target.unified else 2 * self.batch)
        params.n_seq_max, params.n_threads, params.n_threads_batch = 2 * self.batch, 1, 1
        params.type_k = params.type_v = F32
        params.flash_attn_type, params.offload_kqv, params.kv_unified = 0, False, target.unified
        params.cb_eval = self.read
        if p.get("rope", "none") == "none":
            params.rope_freq_scale = NO_ROPE
        self.model = target.model(case, self.shape)
        self.context = self.llama["llama_init_from_model"](self.model, params)
        if not self.context:
            raise RuntimeError("llama_init_from_model failed")
        self.memory = self.llama["llama_get_memory"](self.context)

    def close(self) -> None:
        self.llama["llama_free"](self.context)
        self.llama["llama_model_free"](self.model)

    def evaluated(self, tensor: int, ask: bool, _) -> bool:
        """The scheduler's callback, which asks whether it shall show a tensor and then shows it."""
        wanted = self.seen.get(self.llama["ggml_get_name"](tensor))
        if wanted is not None and not ask:
            raw = ctypes.string_at(self.llama["ggml_get_data"](tensor), self.llama["ggml_nbytes"](tensor))
            wanted.append(np.frombuffer(raw, np.float32))
        return wanted is not None or not ask

    def outputs(self, tokens: int) -> np.ndarray:
        """[tokens, heads * dim] in the batch's order."""
        normed, attended = (np.concatenate(parts) for parts in self.seen.values())
        numbers = normed.reshape(tokens, self.shape.embedding)[:, -3] * GAIN
        out = np.empty((tokens, self.shape.heads * self.shape.dim), np.float32)
        out[numbers.astype(int)] = attended.reshape(out.shape)
        return out

    def next(self, row: int) -> int:
        return self.llama["llama_memory_seq_pos_max"](self.memory, row) + 1

    def attend(self, step: dict, q, k, v) -> np.ndarray:
        q, k, v = (merge_heads(self.case, x) for x in (q, k, v))
        out, n = np.zeros_like(q), step["q_len"]
        lens = step.get("lens") or [n] * self.batch
        first = [n - real if step.get("side") == "left" else 0 for real in lens]
        at = [(row, first[row] + i, self.next(row) + i) for row, real in enumerate(lens) for i in range(real)]
        if not at:
            return split_heads(self.case, out, self.shape.heads)
        rows, slots, positions = (np.array(x, np.int32) for x in zip(*at))
        embedding = np.ascontiguousarray(self.shape.embed(q[rows, slots], k[rows, slots], v[rows, slots]))
        counts, wanted = np.ones(len(at), np.int32), np.ones(len(at), np.int8)
        sequences = (c_void_p * len(at))(*(rows.ctypes.data + 4 * i for i in range(len(at))))
        for parts in self.seen.values():
            parts.clear()
        status = self.llama["llama_decode"](self.context, Batch(
            len(at), None, embedding.ctypes.data, positions.ctypes.data, counts.ctypes.data, ctypes.addressof(sequences),
            wanted.ctypes.data))
        if status:
            raise RuntimeError(f"llama_decode: status {status}")
        out[rows, slots] = self.outputs(len(at))
        for row, position in zip(rows, positions):
            self.held[row].append(int(position))
        return split_heads(self.case, out, self.shape.heads)

    def copy(self, of: int, to: int) -> None:
        if of != to:
            self.llama["llama_memory_seq_rm"](self.memory, to, -1, -1)
            self.llama["llama_memory_seq_cp"](self.memory, of, to, -1, -1)

    def change(self, step: dict) -> None:
        """A step without tokens."""
        memory, op = self.memory, step["op"]
        if op == "reset":
            self.llama["llama_memory_clear"](memory, True)
            self.held = [[] for _ in self.held]
        elif op == "fork":
            self.copy(step["from"], step["to"])
            self.held[step["to"]] = list(self.held[step["from"]])
        elif op == "reorder":
            for row, of in enumerate(step["rows"]):
                self.copy(of, self.batch + row)
            for row in range(self.batch):
                self.copy(self.batch + row, row)
                self.llama["llama_memory_seq_rm"](memory, self.batch + row, -1, -1)
            self.held = [list(self.held[of]) for of in step["rows"]]
        for row, held in enumerate(self.held):
            if op == "crop" and step["length"] < len(held):
                self.crop(row, held, step["length"])
            elif op == "evict" and step["start"] < len(held):
                self.evict(row, held, step["start"], step["start"] + step["count"])

    def crop(self, row: int, held: list[int], length: int) -> None:
        if held[length] != (held[length - 1] + 1 if length else 0):
            raise Declined(CONSECUTIVE)
        self.llama["llama_memory_seq_rm"](self.memory, row, held[length], -1)
        self.held[row] = held[:length]

    def evict(self, row: int, held: list[int], start: int, end: int) -> None:
        """Drops the row's tokens from the start-th to before the end-th."""
        shifted = self.case["cache"].get("positions") == "shifted"
        if end >= len(held) and not shifted:
            raise Declined(CONSECUTIVE)
        first, last = held[start], held[min(end, len(held)) - 1] + 1
        self.llama["llama_memory_seq_rm"](self.memory, row, first, last)
        if shifted:
            self.llama["llama_memory_seq_add"](self.memory, row, last, -1, first - last)
        self.held[row] = held[:start] + [position - (last - first) * shifted for position in held[end:]]

    def step(self, step: dict, q, k, v) -> dict:
        out = self.change(step) if q is None else self.attend(step, q, k, v)
        return {"out": out, "positions": [self.next(row) for row in range(self.batch)]}


class Target:
    slots = 128

    def __init__(self, unified: bool):
        self.unified = unified
        self.name = "llama-cpp:" + ("unified" if unified else "streams")
        self.version = importlib.metadata.version("xllamacpp")
        self.about = "llama.cpp's KV cache, " + ("one buffer for all sequences" if unified else "one buffer for each sequence")
        steps = ("prefill", "append", "decode", "reorder", "fork", "crop", "evict", "reset")
        self.capabilities = {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 24], "kv_len": [1, 30],
                      "head_dim": [2, 32, 2], "head_dim_v": [2, 32, 2], "steps": [1, 6]},
            "equal": [["head_dim", "head_dim_v"]],
            "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "ragged", "ragged_left", "rule:causal", "cache:dynamic",
                         "positions:kept", "positions:shifted", "rope:half", "rope:interleaved", "data:large", "data:constant",
                         "data:one_hot", *(f"step:{name}" for name in steps)],
            "requires": [["dtype:f32", "cache:dynamic"], ["cache:dynamic", "rule:causal"]],
            "precision": {"f32": {"exp_ulps": 20}}}

    def load(self) -> None:
        self.llama = foreign_functions(next(Path(find_spec("xllamacpp").origin).parent.glob("xllamacpp*.so")), SIGNATURES)
        self.quiet = LOGGED(lambda *_: None)
        self.llama["llama_log_set"](self.quiet, None)
        self.llama["llama_backend_init"]()
        known = self.llama["llama_context_default_params"]()
        if (known.n_ubatch, known.type_k, known.offload_kqv, known.kv_unified) != (512, 1, True, False):
            raise RuntimeError("llama_context_params has another layout in this build than this adapter knows")
        self.folder = tempfile.TemporaryDirectory()

    def model(self, case: dict, shape: Shape) -> int:
        p, file = case["problem"], Path(self.folder.name) / "model.gguf"
        file.write_bytes(shape.file(ARCHITECTURES[p.get("rope", "none")], float(p.get("rope_base", 10000))))
        params = self.llama["llama_model_default_params"]()
        params.load_mode, params.use_extra_bufts = 0, False
        model = self.llama["llama_model_load_from_file"](str(file).encode(), params)
        if not model:
            raise RuntimeError("llama_model_load_from_file failed")
        return model

    def run(self, case: dict, tensors: dict) -> list[dict]:
        session = Session(self, case)
        try:
            return [session.step(step, *(tensors.get(f"{name}.{i}") for name in "qkv")) for i, step in enumerate(case["steps"])]
        finally:
            session.close()


def targets() -> list:
    return [Target(True), Target(False)]
