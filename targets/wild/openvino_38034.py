"""openvino#38034: decoding, the number of parts is that of the longest row: a shorter row whose window takes one page more loses its last part, the newest tokens"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from paged import Paged
from wildcache import attend, claims


class Bug(Paged):
    capabilities = claims(
        ("paged",),
        ("prefill", "append", "decode"),
        ("ragged", "rule:window"),
        requires=[["dtype:f32", "rule:causal"], ["rule:window", "rule:causal"]],
    )
    BUG = True

    def open(self, case, tensors):
        super().open(case, tensors)
        rules = {r["rule"]: r for r in case["problem"]["mask"]["rules"]}
        self.window = rules["window"]["left"] + 1 if "window" in rules else None

    def sees(self, q_pos, k_pos):
        seen = super().sees(q_pos, k_pos)
        return seen if self.window is None else seen & (q_pos[:, None] - k_pos[None, :] < self.window)[None]

    def parts(self, held):
        """the pages that a row's window touches: the first of them, and how many"""
        first = max(0, held - self.window) // self.P
        return first, -(-held // self.P) - first

    def tokens(self, n, step):
        self.longest = max(r.next for r in self.rows) + 1
        return super().tokens(n, step)

    def attend_row(self, b, q, pos, step):
        if not self.BUG or step["op"] != "decode" or self.window is None:
            return super().attend_row(b, q, pos, step)
        held = int(pos[-1]) + 1
        first, _ = self.parts(held)
        many = self.parts(self.longest)[1]  # BUG: another row may need one more
        at = np.arange(first * self.P, min(held, (first + many) * self.P))
        k, v = self.gather(b, step, held)
        return attend(self.turn(q, pos), k[:, at], v[:, at], self.sees(pos, at), self.scale)


def targets():
    return both(Bug, __file__)
