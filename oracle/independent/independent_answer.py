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
    seen = seen & ~np.isneginf(bias)  # which hides a key as a mask does
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
        array = philox.decode(self.raw[name], "f32" if name.endswith("_scales") else self.dtype).astype(REAL)
        return array.swapaxes(1, 2) if self.swap and array.ndim == 4 else array

    def get(self, name):
        return self[name] if name in self.raw else None


def with_memory(tensors: Tensors, g: int, k, v, seen, bias):
    """Puts the memory keys of KV head g before the others."""
    mem_k, mem_v = tensors.get("mem_k"), tensors.get("mem_v")
    if mem_k is None:
        return k, v, seen, bias
    count = mem_k.shape[1]
    return (np.concatenate([mem_k[g], k]), np.concatenate([mem_v[g], v]),
            np.concatenate([np.ones(count, bool), seen]), np.concatenate([np.zeros(count, REAL), bias]))


def turned(problem: dict, x, position: int):
    """x of one token, turned by rope, as complex numbers."""
    if problem.get("rope", "none") == "none":
        return x
    if dim := problem.get("rope_dim", 0):
        whole = {**problem, "rope_dim": 0}
        if problem.get("rope_part", "first") == "last":
            return np.concatenate([x[:-dim], turned(whole, x[-dim:], position)])
        return np.concatenate([turned(whole, x[:dim], position), x[dim:]])
    half = len(x) // 2
    angle = REAL(position) * philox.rope_frequencies(problem, half, REAL)
    by = (np.cos(angle) + 1j * np.sin(angle)) * REAL(problem.get("rope_scaling", {}).get("magnitude", 1))
    if problem["rope"] == "half":
        z = (x[:half] + 1j * x[half:]) * by
        return np.concatenate([z.real, z.imag])
    z = (x[0::2] + 1j * x[1::2]) * by
    return np.stack([z.real, z.imag], axis=1).reshape(-1)


def held(cache: dict, x, scale):
    """x of one token and KV head as a quantised cache gives it back."""
    kind = cache.get("quant", "none")
    if kind == "none":
        return x
    most = philox.LARGEST[kind]
    if cache.get("scales", "token") == "token":
        scale = np.float32(np.abs(x).max() / most)
    if scale == 0:
        return x * 0
    y = np.clip(x / REAL(scale), -most, most)
    if kind == "int8":
        return np.rint(y) * REAL(scale)
    return philox.decode(philox.encode(y.astype(np.float64), kind), kind) * REAL(scale)


def plain(case: dict):
    problem, tensors = case["problem"], Tensors(case)
    q, k, v, sinks = tensors["q"], tensors["k"], tensors["v"], tensors.get("sinks")
    seen, bias = philox.dense_mask(problem, case["data"])
    stands = philox.query_positions(problem)
    keys = np.arange(problem["kv_len"])
    if given := problem.get("rope_positions"):
        stands, keys = np.array(given)[stands], np.array(given)
    for b, h, i in np.ndindex(*q.shape[:3]):
        q[b, h, i] = turned(problem, q[b, h, i], int(stands[i]))
    for b, g, j in np.ndindex(*k.shape[:3]):
        k[b, g, j] = turned(problem, k[b, g, j], int(keys[j]))
    bias = np.zeros(seen.shape, REAL) if bias is None else bias.astype(REAL)
    out = np.zeros(q.shape[:3] + v.shape[3:], REAL)
    largest = 0.0
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = kv_head(problem, h)
        keys = with_memory(tensors, g, k[b, g], v[b, g], seen[b, h, i], bias[b, h, i])
        out[b, h, i], top = softmax_sum(problem, q[b, h, i], *keys, None if sinks is None else sinks[h])
        largest = max(largest, top)
    return [{"out": out, "scores": largest, "lengths": [], "positions": [], "capacity": 0}]


def rules_on_cache(problem: dict, data: dict, h: int, pos: int, key_pos: np.ndarray):
    """Which cached tokens a query at `pos` sees and what is added to their scores."""
    seen, bias = np.ones(len(key_pos), bool), np.zeros(len(key_pos), REAL)
    for rule in problem["mask"]["rules"]:
        if rule["rule"] == "causal":
            seen &= key_pos <= pos
        elif rule["rule"] == "window":
            seen &= (key_pos >= pos - rule["left"]) & (key_pos <= pos + rule["right"])
        elif rule["rule"] == "chunk":
            seen &= key_pos // rule["size"] == pos // rule["size"]
        elif rule["rule"] == "dilated":
            seen &= (key_pos - pos) % rule["step"] == 0
        elif rule["rule"] == "relative_bias":
            bias += philox.relative_bias(problem, data, rule, key_pos - pos)[0, h, 0]
        elif rule["rule"] == "alibi":
            bias -= REAL(2.0 ** (-8.0 * (h + 1) / problem["num_heads"])) * np.abs(key_pos - pos)
        else:
            raise NotImplementedError(rule["rule"])
    return seen, bias


def within_reach(cache: dict, g: int, pos: int, key_pos: np.ndarray):
    """Which keys of KV head g a query at `pos` finds in the cache. Later ones are the mask's business."""
    kind, capacity = cache["kind"], cache.get("capacity", 0)
    recent = key_pos > pos - capacity
    if kind == "ring" or (kind == "hybrid" and g % 2):
        return recent
    if kind == "chunked":
        return key_pos >= pos // capacity * capacity
    if kind == "sink_window":
        return (key_pos < cache["keep"]) | (key_pos > pos - (capacity - cache["keep"]))
    return np.ones(len(key_pos), bool)


class Row:
    """Every token that the row was given and that was not cropped or evicted, and where it stands."""

    def __init__(self):
        self.tokens, self.at, self.next = [], [], 0  # tokens: (step, source row, i)

    def copy(self):
        other = Row()
        other.tokens, other.at, other.next = list(self.tokens), list(self.at), self.next
        return other

    def add(self, token):
        self.tokens.append(token)
        self.at.append(self.next)
        self.next += 1

    def crop(self, length):
        if length < len(self.at):
            self.next = self.at[length]
        del self.tokens[length:], self.at[length:]

    def evict(self, start, count, shifted):
        before = len(self.at)
        del self.tokens[start : start + count], self.at[start : start + count]
        if shifted and len(self.at) < before:
            self.at, self.next = list(range(len(self.at))), len(self.at)


def change(step: dict, rows: list, cache: dict) -> list:
    """The rows after a step that brings no tokens."""
    op = step["op"]
    if op == "reorder":
        return [rows[source].copy() for source in step["rows"]]
    rows = list(rows)
    if op == "fork":
        rows[step["to"]] = rows[step["from"]].copy()
    for row in rows if op in ("crop", "evict") else ():
        if op == "crop":
            row.crop(step["length"])
        else:
            row.evict(step["start"], step["count"], cache.get("positions") == "shifted")
    return [Row() for _ in rows] if op == "reset" else rows


def stepped(case: dict):
    """What a cache forgets is left out where it is read, so that rows only grow."""
    problem, tensors, cache = case["problem"], Tensors(case), case["cache"]
    sinks, k_scales, v_scales = (tensors.get(name) for name in ("sinks", "k_scales", "v_scales"))
    rows = [Row() for _ in range(problem["batch"])]
    answers = []
    for n, step in enumerate(case["steps"]):
        answer = {"out": None, "scores": 0.0}
        if "q_len" not in step:
            rows = change(step, rows, cache)
        else:
            q = tensors[f"q.{n}"]
            answer["out"] = np.full(q.shape[:3] + (problem["head_dim_v"],), np.nan, REAL)
            brought = step.get("kv_len", step["q_len"])
            lens = step.get("lens") or [brought] * problem["batch"]
            for b, row in enumerate(rows):
                past, before = row.next, brought - lens[b] if step.get("side") == "left" else 0
                for i in range(lens[b]):
                    row.add((n, b, before + i))
                queries = range(step["q_len"]) if "kv_len" in step else range(before, before + lens[b])
                for h, (nth, i) in ((h, pair) for h in range(problem["num_heads"]) for pair in enumerate(queries)):
                    g, pos, at = kv_head(problem, h), past + nth, np.array(row.at, int)
                    scale = lambda scales: None if scales is None else scales[g]
                    k = np.array([held(cache, turned(problem, tensors[f"k.{s}"][r, g, j], place), scale(k_scales))
                                  for (s, r, j), place in zip(row.tokens, row.at)], REAL)
                    v = np.array([held(cache, tensors[f"v.{s}"][r, g, j], scale(v_scales))
                                  for s, r, j in row.tokens], REAL)
                    seen, bias = rules_on_cache(problem, case["data"], h, pos, at)
                    keys = with_memory(tensors, g, k, v, seen & within_reach(cache, g, pos, at), bias)
                    sink = None if sinks is None else sinks[h]
                    answer["out"][b, h, i], top = softmax_sum(problem, turned(problem, q[b, h, i], pos), *keys, sink)
                    answer["scores"] = max(answer["scores"], top)
        answer["lengths"] = [int(within_reach(cache, 0, row.next - 1, np.array(row.at, int)).sum()) for row in rows]
        answer["positions"] = [row.next for row in rows]
        answer["capacity"] = 0 if cache["kind"] == "hybrid" else cache.get("capacity", 0)
        answers.append(answer)
    return answers


def answer(case: dict) -> list[dict]:
    """For each step (one without a cache): out [batch, num_heads, q_len, head_dim_v] or None, NaN where no real query
    stands; the largest |score|; the cached lengths, the positions of the next tokens, the capacity."""
    with np.errstate(all="ignore"):
        return stepped(case) if "cache" in case else plain(case)
