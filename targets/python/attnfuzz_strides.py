"""Inputs that lie as views, as targets/strided.h says: for targets that claim "strides:…"."""
from __future__ import annotations

import numpy as np
from attnfuzz_philox import encode

FILLER = -3.0
GAPS = (3, 2, 5)
STRIDED = "qkv"


def in_order(shape: tuple, gaps: tuple, base: int) -> tuple[list[int], int, int]:
    """Strides of axes that lie in this order, with unused elements behind each; the first element's place; the memory's size."""
    strides, stride = [0] * len(shape), 1
    for n in reversed(range(len(shape))):
        strides[n] = stride
        stride = stride * shape[n] + (gaps[len(shape) - 1 - n] if n else 0)
    return strides, base, base + stride


def place(problem: dict, name: str, shape: tuple) -> tuple[list[int], int, int]:
    """The strides of a tensor in the case's layout, in elements, the first element's place and the memory's size."""
    mode, heads_first = problem["strides"], problem["layout"] == "bhsd"
    if mode == "gaps":
        return in_order(shape, GAPS, 1)
    if mode == "transposed":  # [batch, heads, dim, len] in either layout
        batch, heads, length, dim = shape if heads_first else (shape[0], shape[2], shape[1], shape[3])
        (b, h, d, s), base, size = in_order((batch, heads, dim, length), (0, 0, 0), 0)
        return [b, h, s, d] if heads_first else [b, s, h, d], base, size
    if mode == "fused":
        dim, kv_heads = problem["head_dim"], problem["num_kv_heads"]
        token = (problem["num_heads"] + 2 * kv_heads) * dim
        before = {"q": 0, "k": problem["num_heads"], "v": problem["num_heads"] + kv_heads}[name]
        row = problem["kv_len"] * token
        return [row, dim, token, 1] if heads_first else [row, token, dim, 1], before * dim, problem["batch"] * row
    strides, base, size = in_order(shape, (0, 0, 0), 0)
    return (strides, base, size) if name == "q" else ([0, *strides[1:]], base, size // shape[0])


def view(memory: np.ndarray, shape: tuple, strides: list[int], base: int) -> np.ndarray:
    return np.lib.stride_tricks.as_strided(memory[base:], shape, [n * memory.itemsize for n in strides])


def lay_out(case: dict, tensors: dict, keep=lambda name, memory: memory) -> dict:
    """The tensors, with q, k and v as the case's strides say. `keep` may move a tensor's memory elsewhere."""
    problem = case["problem"]
    if "strides" not in problem:
        return tensors
    laid = dict(tensors)
    for name in STRIDED:
        shape = tensors[name].shape
        if not tensors[name].size:
            continue
        strides, base, size = place(problem, name, shape)
        memory = np.full(size, encode(np.array(FILLER), problem["dtype"]))
        for other in STRIDED if problem["strides"] == "fused" else name:
            there, start, _ = place(problem, other, tensors[other].shape)
            view(memory, tensors[other].shape, there, start)[...] = tensors[other]
        laid[name] = view(keep(name, memory), shape, strides, base)
    return laid
