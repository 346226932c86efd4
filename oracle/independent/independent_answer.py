"""Attention by its definition, in NumPy's long doubles: written apart from the C++ oracle, to be held against it.

One query at a time, no blocking, no cleverness; the words of oracle/case.h are its only source.
"""
from __future__ import annotations

import math

import numpy as np

import attnfuzz_philox as philox

REAL = np.longdouble


def softmax_sum(problem: dict, q, k, v, seen, bias, sink):
    """One query over its keys: (out [head_dim_v], largest |score|). `seen` and `bias` are per key."""
    fully_masked = not seen.any() and sink is None
    if fully_masked:
        gives = problem["fully_masked"]
        if gives == "uniform" and len(v):
            return v.sum(axis=0) / REAL(len(v)), 0.0
        fill = np.nan if gives in ("nan", "uniform") else 0.0
        return np.full(v.shape[1:], fill, REAL), 0.0
    k, v, bias = k[seen], v[seen], bias[seen]
    scale = 1 / math.sqrt(problem["head_dim"]) if problem["scale"] is None else problem["scale"]
    score = (k * q).sum(axis=1) * REAL(scale)
    if problem["bias_order"] == "before_softcap":
        score = score + bias
    if problem["softcap"]:
        score = REAL(problem["softcap"]) * np.tanh(score / REAL(problem["softcap"]))
    if problem["bias_order"] == "after_softcap":
        score = score + bias
    top = max([*score, *([] if sink is None else [sink])])
    weight = np.exp(score - top)
    total = weight.sum() + (0 if sink is None else np.exp(sink - top))
    return (weight[:, None] * v).sum(axis=0) / total, float(np.abs(score).max(initial=0))


def kv_head(problem: dict, h: int) -> int:
    group = problem["num_heads"] // problem["num_kv_heads"]
    return h // group if problem["head_map"] == "grouped" else h % problem["num_kv_heads"]


class Tensors:
    """A case's inputs as long doubles, [batch, heads, len, dim] whatever the layout."""

    def __init__(self, case: dict):
        self.dtype = case["problem"]["dtype"]
        self.swap = case["problem"]["layout"] == "bshd"
        self.raw = philox.inputs(case)

    def __getitem__(self, name):
        array = philox.decode(self.raw[name], self.dtype).astype(REAL)
        return array.swapaxes(1, 2) if self.swap and array.ndim == 4 else array

    def get(self, name):
        return self[name] if name in self.raw else None


def with_memory(tensors: Tensors, g: int, k, v, seen, bias):
    """Puts the memory keys of key head g before the others."""
    mem_k, mem_v = tensors.get("mem_k"), tensors.get("mem_v")
    if mem_k is None:
        return k, v, seen, bias
    count = mem_k.shape[1]
    return (np.concatenate([mem_k[g], k]), np.concatenate([mem_v[g], v]),
            np.concatenate([np.ones(count, bool), seen]), np.concatenate([np.zeros(count, REAL), bias]))


def plain(case: dict):
    problem, tensors = case["problem"], Tensors(case)
    q, k, v, sinks = tensors["q"], tensors["k"], tensors["v"], tensors.get("sinks")
    seen, bias = philox.dense_mask(problem, case["data"])
    bias = np.zeros(seen.shape, REAL) if bias is None else bias.astype(REAL)
    out = np.zeros(q.shape[:3] + v.shape[3:], REAL)
    largest = 0.0
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = kv_head(problem, h)
        keys = with_memory(tensors, g, k[b, g], v[b, g], seen[b, h, i], bias[b, h, i])
        out[b, h, i], top = softmax_sum(problem, q[b, h, i], *keys, None if sinks is None else sinks[h])
        largest = max(largest, top)
    return [{"out": out, "scores": largest, "lengths": []}]


def rules_on_cache(problem: dict, h: int, pos: int, key_pos: np.ndarray):
    """Which cached tokens a query at `pos` sees and what is added to their scores."""
    seen, bias = np.ones(len(key_pos), bool), np.zeros(len(key_pos), REAL)
    for rule in problem["mask"]["rules"]:
        if rule["rule"] == "causal":
            seen &= key_pos <= pos
        elif rule["rule"] == "window":
            seen &= (key_pos >= pos - rule["left"]) & (key_pos <= pos + rule["right"])
        elif rule["rule"] == "chunk":
            seen &= key_pos // rule["size"] == pos // rule["size"]
        elif rule["rule"] == "alibi":
            bias -= REAL(2.0 ** (-8.0 * (h + 1) / problem["num_heads"])) * np.abs(key_pos - pos)
        else:
            raise NotImplementedError(rule["rule"])
    return seen, bias


def stepped(case: dict):
    """Every token that a row ever had stays in `rows`, so that positions are plain indices."""
    problem, tensors, kind = case["problem"], Tensors(case), case["cache"]["kind"]
    capacity = case["cache"].get("capacity", 0)
    sinks = tensors.get("sinks")
    rows = [[] for _ in range(problem["batch"])]  # of (step, source row, i)
    answers = []
    for n, step in enumerate(case["steps"]):
        answer = {"out": None, "scores": 0.0}
        if step["op"] == "reorder":
            rows = [list(rows[source]) for source in step["rows"]]
        elif step["op"] == "crop":
            rows = [row[: step["length"]] for row in rows]
        elif step["op"] == "reset":
            rows = [[] for _ in rows]
        else:
            q = tensors[f"q.{n}"]
            answer["out"] = np.full(q.shape[:3] + (problem["head_dim_v"],), np.nan, REAL)
            lens = step.get("lens") or [step["q_len"]] * problem["batch"]
            for b, row in enumerate(rows):
                past = len(row)
                row.extend((n, b, i) for i in range(lens[b]))
                for h, i in np.ndindex(problem["num_heads"], lens[b]):
                    g, pos = kv_head(problem, h), past + i
                    k = np.array([tensors[f"k.{s}"][r, g, j] for s, r, j in row], REAL)
                    v = np.array([tensors[f"v.{s}"][r, g, j] for s, r, j in row], REAL)
                    seen, bias = rules_on_cache(problem, h, pos, np.arange(len(row)))
                    if kind == "ring":
                        seen &= np.arange(len(row)) > pos - capacity
                    keys = with_memory(tensors, g, k, v, seen, bias)
                    sink = None if sinks is None else sinks[h]
                    answer["out"][b, h, i], top = softmax_sum(problem, q[b, h, i], *keys, sink)
                    answer["scores"] = max(answer["scores"], top)
        answer["lengths"] = [min(len(row), capacity) if kind == "ring" else len(row) for row in rows]
        answers.append(answer)
    return answers


def answer(case: dict) -> list[dict]:
    """For each step (one without a cache): out [batch, num_heads, q_len, head_dim_v] or None, NaN where no real query
    stands; the largest |score|; the cached lengths."""
    with np.errstate(all="ignore"):
        return stepped(case) if "cache" in case else plain(case)
