"""vllm#23279: rows lie behind one another, in chunks of 16 tokens; the state that a row brings is decayed from its chunk's first token on, of which some are other rows'"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from state import State, claims

CHUNK = 16


class Bug(State):
    capabilities = claims(
        ("ssd",),
        ("prefill", "append", "decode", "reset"),
        ("ragged",),
        {"q_len": [1, 24], "kv_len": [1, 70]},
        tiles={"q_len": [CHUNK]},
    )

    def before(self, b, step):
        """sum of the gates of the other rows' tokens in the chunk in which row b begins, and b's tokens in that chunk"""
        n = next(i for i, s in enumerate(self.case["steps"]) if s is step)
        gate = self.t[f"gate.{n}"].astype(np.float64)
        lens = step["lens"] if step.get("lens") else [gate.shape[2]] * self.B
        flat = np.concatenate([gate[i, :, : lens[i]] for i in range(self.B)], 1)
        start = sum(lens[:b])
        return flat[:, start - start % CHUNK : start].sum(1), CHUNK - start % CHUNK

    def row(self, b, q, k, v, g, beta, step):
        if step["op"] == "decode":
            return super().row(b, q, k, v, g, beta, step)
        others, own = self.before(b, step)
        first = self.S[b].copy()
        head = super().row(b, q[:, :own], k[:, :own], v[:, :own], g[:, :own], None, step)
        brought = first * np.exp(g[:, :own].sum(1))[:, None, None]
        self.S[b] += brought * np.expm1(others)[:, None, None]  # BUG: only the row's own gates
        if q.shape[1] <= own:
            return head
        return np.concatenate([head, super().row(b, q[:, own:], k[:, own:], v[:, own:], g[:, own:], None, step)], 1)


def targets():
    return both(Bug, __file__)
