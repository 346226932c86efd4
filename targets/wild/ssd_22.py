"""tanishqkumar/ssd#22: a prefill with a cached prefix hands over the pool without the block table: it is read as one long row"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import attend, claims
from paged import Paged


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode"), ("ragged",))

    def tokens(self, n, step):
        lens = step.get("lens") or [step["q_len"]] * self.B
        ends = [r.next + l for r, l in zip(self.rows, lens)]
        self.cu = np.concatenate([[0], np.cumsum(ends)])
        self.hit = step["op"] == "append" and any(r.next for r in self.rows)
        if not self.hit:
            return super().tokens(n, step)
        for b, l in enumerate(lens):  # all rows are written before the kernel reads
            pos = np.arange(self.rows[b].next, self.rows[b].next + l)
            self.append(b, self.t[f"k.{n}"][b, :, :l], self.t[f"v.{n}"][b, :, :l], pos, step)
        return super().tokens(n, step)

    def attend_row(self, b, q, pos, step):
        if not self.hit:
            return super().attend_row(b, q, pos, step)
        n = int(pos[-1]) + 1
        at = self.cu[b] + np.arange(n)  # BUG: cu_seqlens_k count tokens of a contiguous tensor
        k = self.pool_k.reshape(-1, self.G, self.D)[at].swapaxes(0, 1)
        v = self.pool_v.reshape(-1, self.G, self.E)[at].swapaxes(0, 1)
        return attend(self.turn(q, pos), k, v, self.sees(pos, np.arange(n)), self.scale)


def targets():
    return both(Bug, __file__)
