"""oneDNN's scaled dot-product attention on the CPU, through its graph API: the documented SDPA and GQA patterns (dev_guide_graph_sdpa,
dev_guide_graph_gqa), given to the library as a graph, which must come back as one partition.

The library is the one that PaddlePaddle's wheel brings (libdnnl, OpenMP runtime; the `onednn` wheel on PyPI is built for SYCL, whose
CPU has no optimised form by the same pages); nothing of Paddle is imported. What is claimed is what those pages say, of f32: a scale;
a mask that is added, of any shape that broadcasts; grouped heads as (N, H_kv, N_rep, S, D); any strides. This version's softmax has no
mode for rows of -inf alone: they may hold anything. `sdpa-mask-by-row` leaves out what this version fails at (docs/findings.md), to
see past it. "Optimized implementation … requires N * H > 2 * thread number": with one thread,
smaller cases run the reference form, so both are under test.
"""
from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint, c_uint8, c_void_p
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from attnfuzz_worker import additive, broadcastable, to_layout

REQUIRES = ["paddlepaddle", "numpy"]

# Of the C API's enumerations (dnnl_common_types.h, dnnl_graph_types.h).
CPU, F32 = 1, 3
ADD, MATMUL, MULTIPLY, SOFTMAX = 2, 39, 46, 64
AXIS, TRANSPOSE_B = 0x30, 0x66
STRIDED, VARIABLE, FUSION = 2, 1, 1
MAX_DIMS = 12


class LogicalTensor(ctypes.Structure):
    _fields_ = [("id", c_size_t), ("ndims", c_int), ("dims", c_int64 * MAX_DIMS), ("data_type", c_int), ("property", c_int),
                ("layout_type", c_int), ("strides", c_int64 * MAX_DIMS)]


class Version(ctypes.Structure):
    _fields_ = [("major", c_int), ("minor", c_int), ("patch", c_int), ("hash", c_char_p), ("cpu", c_uint), ("gpu", c_uint)]


def folder() -> Path:
    return Path(find_spec("paddle").submodule_search_locations[0]) / "libs"


def open_library() -> ctypes.CDLL:
    ctypes.CDLL(str(folder() / "libiomp5.so"), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(folder() / "libdnnl.so.3"))
    library.dnnl_version.restype = ctypes.POINTER(Version)
    return library


class Graph:
    """One graph while it is built, compiled and run once."""

    def __init__(self, library: ctypes.CDLL, engine: c_void_p, stream: c_void_p):
        self.library, self.engine, self.stream, self.count, self.given = library, engine, stream, 0, {}
        self.graph = self.made("graph_create", c_int(CPU))
        self.ops: list[c_void_p] = []

    def call(self, function: str, *arguments) -> None:
        if status := getattr(self.library, f"dnnl_graph_{function}")(*arguments):
            raise RuntimeError(f"dnnl_graph_{function}: status {status}")

    def made(self, function: str, *arguments) -> c_void_p:
        handle = c_void_p()
        self.call(function, byref(handle), *arguments)
        return handle

    def tensor(self, shape, array: np.ndarray | None = None) -> LogicalTensor:
        """A logical tensor; with an array its strides are the array's (and it is an input or the output), else dense."""
        result = LogicalTensor()
        dims, strides = (c_int64 * MAX_DIMS)(*shape), np.empty(shape, np.uint8).strides
        if array is not None:
            strides = [n // array.itemsize for n in array.strides]
        self.call("logical_tensor_init_with_strides", byref(result), c_size_t(self.count), c_int(F32), c_int32(len(shape)), dims,
                  (c_int64 * MAX_DIMS)(*strides), c_int(VARIABLE))
        if array is not None:
            self.given[self.count] = (result, array)
        self.count += 1
        return result

    def op(self, kind: int, inputs: list, output: LogicalTensor, name: str, flag: int = 0, axis: int | None = None):
        op = self.made("op_create", c_size_t(self.count), c_int(kind), name.encode())
        self.ops.append(op)
        self.count += 1
        if flag:
            self.call("op_set_attr_bool", op, c_int(flag), byref(c_uint8(1)), c_size_t(1))
        if axis is not None:
            self.call("op_set_attr_s64", op, c_int(AXIS), byref(c_int64(axis)), c_size_t(1))
        for tensor in inputs:
            self.call("op_add_input", op, byref(tensor))
        self.call("op_add_output", op, byref(output))
        self.call("add_op", self.graph, op)
        return output

    def run(self) -> None:
        """Compiles the graph, which must be one partition, and runs it."""
        self.call("graph_finalize", self.graph)
        self.call("graph_filter", self.graph, c_int(FUSION))
        number = c_size_t()
        self.call("graph_get_partition_num", self.graph, byref(number))
        if number.value != 1:
            raise RuntimeError(f"the pattern comes back as {number.value} partitions, not one")
        partition = c_void_p()
        self.call("graph_get_partitions", self.graph, c_size_t(1), byref(partition))
        ports = {side: self.ports(partition, side) for side in ("input", "output")}
        compiled = self.made("compiled_partition_create", partition)
        sides = [(c_size_t(len(p)), (ctypes.POINTER(LogicalTensor) * len(p))(*map(ctypes.pointer, p))) for p in ports.values()]
        self.call("partition_compile", partition, compiled, *sides[0], *sides[1], self.engine)
        handles = {side: [self.made("tensor_create", byref(t), self.engine, c_void_p(self.given[t.id][1].ctypes.data)) for t in p]
                   for side, p in ports.items()}
        sides = [(c_size_t(len(h)), (c_void_p * len(h))(*h)) for h in handles.values()]
        self.call("compiled_partition_execute", compiled, self.stream, *sides[0], *sides[1])
        self.library.dnnl_stream_wait(self.stream)
        for handle in sum(handles.values(), []):
            self.call("tensor_destroy", handle)
        self.call("compiled_partition_destroy", compiled)
        self.call("partition_destroy", partition)

    def ports(self, partition: c_void_p, side: str) -> list[LogicalTensor]:
        number = c_size_t()
        self.call(f"partition_get_{side}_ports_num", partition, byref(number))
        ports = (LogicalTensor * number.value)()
        self.call(f"partition_get_{side}_ports", partition, number, ports)
        return [self.given[port.id][0] for port in ports]

    def close(self) -> None:
        for op in self.ops:
            self.call("op_destroy", op)
        self.call("graph_destroy", self.graph)


RULES = ["causal", "window", "chunk", "prefix", "documents", "padding", "boolean", "bias"]
FEATURES = ["dtype:f32", "layout:bhsd", "layout:bshd", "cross", "longer_q", "scale", "fully_masked:any", "align:top_left",
            "align:bottom_right", "chunk.origin:slot", "chunk.origin:token", "padding.side:left", "padding.side:right", "data:large",
            "data:constant", "data:one_hot", "data:tiny", *(f"rule:{name}" for name in RULES),
            *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("qk", "bqk"))]
MORE = ["gqa", "mqa", "head_dim_v", "rule:alibi", *(f"{name}.shape:{shape}" for name in ("boolean", "bias") for shape in ("hqk", "bhqk"))]
SIZES = {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70], "head_dim": [2, 64],
         "head_dim_v": [2, 64]}


class Sdpa:
    def __init__(self, name: str, about: str, by_row: bool = False, **capabilities):
        self.name, self.about, self.by_row = f"onednn:{name}", about, by_row
        self.capabilities = capabilities | {"precision": {"f32": {"exp_ulps": 20, "flush_subnormals": True}},
                                            "tiles": {"q_len": [16, 32, 64], "kv_len": [16, 32, 64], "head_dim": [16, 32]}}

    @property
    def version(self) -> str:
        v = open_library().dnnl_version().contents
        return f"{v.major}.{v.minor}.{v.patch}"

    def load(self) -> None:
        self.library = open_library()
        self.engine, self.stream = c_void_p(), c_void_p()
        for status in (self.library.dnnl_engine_create(byref(self.engine), c_int(CPU), c_size_t(0)),
                       self.library.dnnl_stream_create(byref(self.stream), self.engine, c_uint(1))):
            if status:
                raise RuntimeError(f"no engine: status {status}")

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p = case["problem"]
        batch, heads, kv_heads, q_len, kv_len = (p[name] for name in ("batch", "num_heads", "num_kv_heads", "q_len", "kv_len"))
        grouped = heads != kv_heads
        q, k, v = (to_layout(case, tensors[name], "bhsd") for name in "qkv")
        held = np.zeros(to_layout(case, np.empty((batch, heads, q_len, p["head_dim_v"])), "bhsd").shape, np.float32)
        out = to_layout(case, held, "bhsd")

        def split(array: np.ndarray) -> np.ndarray:
            """[N, H, …] as [N, H_kv, N_rep, …] (of one head: [N, 1, 1, …]), a view with its own strides."""
            first = min(array.shape[1], kv_heads)
            return array.reshape(array.shape[0], first, array.shape[1] // first, *array.shape[2:]) if grouped else array

        graph = Graph(self.library, self.engine, self.stream)
        try:
            self.build(graph, case, tensors, *(split(x) for x in (q, k, v, out)))
            graph.run()
        finally:
            graph.close()
        return [{"out": held}]

    def build(self, graph: Graph, case: dict, tensors: dict, q, k, v, out) -> None:
        p = case["problem"]
        shape = (*q.shape[:-1], p["kv_len"])
        scale = np.array([p["scale"] if p["scale"] is not None else p["head_dim"] ** -0.5], np.float32)
        score = graph.op(MATMUL, [graph.tensor(q.shape, q), graph.tensor(k.shape, k)], graph.tensor(shape), "qk", flag=TRANSPOSE_B)
        score = graph.op(MULTIPLY, [score, graph.tensor((1,), scale)], graph.tensor(shape), "scale")
        if (mask := additive(case, tensors)) is not None:
            mask = mask[:, :1] if self.by_row else broadcastable(mask)
            mask = np.ascontiguousarray(mask)
            if q.ndim == 5:
                groups = min(mask.shape[1], p["num_kv_heads"])
                mask = mask.reshape(mask.shape[0], groups, mask.shape[1] // groups, *mask.shape[2:])
            score = graph.op(ADD, [score, graph.tensor(mask.shape, mask)], graph.tensor(shape), "mask")
        weight = graph.op(SOFTMAX, [score], graph.tensor(shape), "softmax", axis=-1)
        graph.op(MATMUL, [weight, graph.tensor(v.shape, v)], graph.tensor(out.shape, out), "pv")


def targets() -> list:
    return [Sdpa("sdpa", "the SDPA and GQA patterns of the graph API", features=FEATURES + MORE,
                 sizes=SIZES | {"head_dim": [1, 64], "head_dim_v": [1, 64]}),
            Sdpa("sdpa-mask-by-row", "the SDPA pattern with a mask of (N, 1, S, S)", by_row=True, features=FEATURES, sizes=SIZES,
                 equal=[["head_dim", "head_dim_v"], ["num_heads", "num_kv_heads"]])]
