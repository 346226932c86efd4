"""Judges one upstream target on one case with a NumPy oracle; run by the interpreter of the package's own environment.

    upstream_check.py PACKAGE:NAME CASE.json     one JSON line: {"version": …, "verdict": …, "text": …}

It needs no attnfuzz build: the tensors are the case's own (attnfuzz_philox.py), the oracle is the textbook formula in
float64 over each row's history. Verdicts: pass, error (text: what was raised), mismatch (text: the largest error), length
(outputs right, the reported cache length wrong; text: reported and true). Softmax attention, but for fla:gla (linear).
"""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

from attnfuzz_philox import inputs
from worker import find

TOLERANCE = 3e-5  # f32 at lengths of a few dozen; a dropped or added key shows at 1e-2 and more


def visible(rules: list, q_pos: np.ndarray, kv_len: int, row: int) -> np.ndarray:
    """Which keys each query of a row sees: booleans [q_len, kv_len]."""
    i, j, seen = q_pos[:, None], np.arange(kv_len), np.ones((len(q_pos), kv_len), dtype=bool)
    padding = next((r for r in rules if r["rule"] == "padding"), {})
    first = kv_len - padding["lens"][row] if padding.get("side") == "left" else 0
    for r in rules:
        if r["rule"] == "causal":
            seen &= j <= i
        elif r["rule"] == "window":
            seen &= (i - j <= r["left"]) & (j - i <= r["right"])
        elif r["rule"] == "chunk":
            origin = first if r["origin"] == "token" else 0
            seen &= (i - origin) // r["size"] == (j - origin) // r["size"]
        elif r["rule"] == "padding":
            seen &= (j >= first) if r["side"] == "left" else (j < r["lens"][row])
        else:
            raise ValueError(f'no oracle for rule {r["rule"]}')
    return seen


def attention(problem: dict, q, k, v, seen: np.ndarray, sinks=None, linear=False) -> np.ndarray:
    """One row, [heads, len, dim] each, in float64; softmax over the seen keys (and the sink), or the bare linear sum."""
    group = np.arange(problem["num_heads"]) // (problem["num_heads"] // problem["num_kv_heads"])
    if problem["head_map"] == "interleaved":
        group = np.arange(problem["num_heads"]) % problem["num_kv_heads"]
    q, k, v = q.astype(np.float64), k.astype(np.float64)[group], v.astype(np.float64)[group]
    scores = q @ k.swapaxes(1, 2) * (problem["scale"] or problem["head_dim"] ** -0.5)
    if linear:
        return (scores * seen) @ v
    if problem["softcap"]:
        scores = problem["softcap"] * np.tanh(scores / problem["softcap"])
    scores = np.where(seen, scores, -np.inf)
    sink = np.full((len(q), 1, 1), -np.inf) if sinks is None else sinks.astype(np.float64)[:, None, None]
    top = np.maximum(scores.max(-1, keepdims=True, initial=-np.inf), sink)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    with np.errstate(invalid="ignore"):
        return weights / (weights.sum(-1, keepdims=True) + np.exp(sink - top)) @ v


def judge(target, case: dict) -> tuple[str, str]:
    """The target's verdict on the case, and a word on why."""
    problem, tensors = case["problem"], inputs(case)
    heads_first = (lambda a: a) if problem["layout"] == "bhsd" else (lambda a: a.swapaxes(1, 2))
    try:
        results = list(target.run(case, {name: array.copy() for name, array in tensors.items()}))
    except Exception as e:
        return "error", f"{type(e).__name__}: " + re.sub(r"\s+", " ", str(e))
    history = [{"k": [], "v": []} for _ in range(problem["batch"])]
    for name in ("k", "v") if problem["memory_kv"] else ():
        for row, past in enumerate(history):
            past[name].append(tensors[f"mem_{name}"])
    memory, worst, wrong = problem["memory_kv"], 0.0, ""
    for i, step in enumerate(case.get("steps") or [problem]):
        if "op" in step and step["op"] not in ("prefill", "append", "decode"):
            raise ValueError(f'no oracle for step {step["op"]}')
        q, k, v = (heads_first(tensors[name + (f".{i}" if "op" in step else "")]) for name in "qkv")
        out = heads_first(np.asarray(results[i]["out"]))
        for row, past in enumerate(history):
            past["k"].append(k[row]), past["v"].append(v[row])
            keys, values = np.concatenate(past["k"], axis=1), np.concatenate(past["v"], axis=1)
            count = keys.shape[1] - memory
            seen = visible(problem["mask"]["rules"], np.arange(q.shape[2]) + count - q.shape[2], count, row)
            some = seen.any(1) | (memory > 0)
            seen = np.concatenate([np.ones((len(seen), memory), dtype=bool), seen], axis=1)
            exact = attention(problem, q[row], keys, values, seen, tensors.get("sinks"), target.name == "fla:gla")
            error = np.abs(out[row] - exact)[:, some]
            worst = max(worst, np.nan_to_num(error, nan=np.inf).max(initial=0))
            reported = (results[i].get("lengths") or [count] * len(history))[row]
            wrong = wrong or (f"step {i}: {reported}, not {count}" if reported != count else "")
    if worst > TOLERANCE:
        return "mismatch", f"largest error {worst:.3g}"
    return ("length", wrong) if wrong else ("pass", "")


if __name__ == "__main__":
    found, why_not = find(sys.argv[1])
    if found is None:
        print(json.dumps({"version": "", "verdict": "missing", "text": why_not}))
        sys.exit(0)
    if hasattr(found, "load"):
        found.load()
    verdict, text = judge(found, json.loads(Path(sys.argv[2]).read_text()))
    print(json.dumps({"version": found.version, "verdict": verdict, "text": text}))
