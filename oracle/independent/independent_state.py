"""Attention with a state by its definition, token by token, in NumPy's long doubles; oracle/linear/kinds.h is the source."""
from __future__ import annotations

import math

import numpy as np

from independent_answer import REAL, Tensors, kv_head

BETA = ("delta", "gated_delta")


class State:
    """S of one batch row: [num_kv_heads, head_dim, head_dim_v], and the tokens that it has taken in."""

    def __init__(self, problem: dict):
        self.problem, self.tokens = problem, 0
        self.s = np.zeros((problem["num_kv_heads"], problem["head_dim"], problem["head_dim_v"]), REAL)

    def copy(self) -> State:
        other = State(self.problem)
        other.s, other.tokens = self.s.copy(), self.tokens
        return other

    def take(self, g: int, k, v, gate, beta) -> None:
        kind = self.problem["kind"]
        if kind == "retnet":
            self.s[g] *= 1 - REAL(2) ** (-5 - g)
        elif gate is not None:
            self.s[g] *= np.exp(gate)[:, None] if gate.ndim else np.exp(gate)
        if kind in BETA:
            v = beta * (v - k @ self.s[g])
        self.s[g] += np.outer(k, v)


def run(case: dict, tensors: Tensors, suffix: str, b: int, states: State, first: int, last: int, out) -> None:
    """Tokens first … last − 1 of row b go into the state, and their queries read it."""
    problem = case["problem"]
    scale = 1 / math.sqrt(problem["head_dim"]) if problem["scale"] is None else problem["scale"]
    q, k, v = (tensors[name + suffix] for name in "qkv")
    gate, beta = (scalars(tensors, name + suffix) for name in ("gate", "beta"))
    for t in range(first, last):
        for g in range(problem["num_kv_heads"]):
            states.take(g, k[b, g, t], v[b, g, t], None if gate is None else gate[b, g, t],
                        None if beta is None else beta[b, g, t])
        for h in range(problem["num_heads"]):
            out[b, h, t] = REAL(scale) * (q[b, h, t] @ states.s[kv_head(problem, h)])
        states.tokens += 1


def scalars(tensors: Tensors, name: str):
    """[batch, heads, len, …] of an input that may have no dim."""
    array = tensors.get(name)
    return array.swapaxes(1, 2) if array is not None and array.ndim == 3 and tensors.swap else array


def empty_out(problem: dict, q_len: int):
    return np.full((problem["batch"], problem["num_heads"], q_len, problem["head_dim_v"]), np.nan, REAL)


def plain(case: dict) -> list[dict]:
    problem, tensors = case["problem"], Tensors(case)
    lens = [r["lens"] for r in problem["mask"]["rules"] if r["rule"] == "documents"] or [[problem["q_len"]]]
    out = empty_out(problem, problem["q_len"])
    for b in range(problem["batch"]):
        first = 0
        for n in lens[0]:
            run(case, tensors, "", b, State(problem), first, first + n, out)
            first += n
    return [{"out": out, "scores": 0.0, "lengths": []}]


def stepped(case: dict) -> list[dict]:
    problem, tensors = case["problem"], Tensors(case)
    rows, answers = [State(problem) for _ in range(problem["batch"])], []
    for n, step in enumerate(case["steps"]):
        out = None
        if step["op"] == "reorder":
            rows = [rows[source].copy() for source in step["rows"]]
        elif step["op"] == "fork":
            rows[step["to"]] = rows[step["from"]].copy()
        elif step["op"] == "reset":
            rows = [State(problem) for _ in rows]
        else:
            out = empty_out(problem, step["q_len"])
            for b, state in enumerate(rows):
                real = step["lens"][b] if step.get("lens") else step["q_len"]
                first = step["q_len"] - real if step.get("side") == "left" else 0
                run(case, tensors, f".{n}", b, state, first, first + real, out)
        answers.append({"out": out, "scores": 0.0, "lengths": [state.tokens for state in rows]})
    return answers


def answer(case: dict) -> list[dict]:
    """As independent_answer.answer()."""
    with np.errstate(all="ignore"):
        return stepped(case) if "cache" in case else plain(case)
