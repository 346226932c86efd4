"""flashinfer#4450: the running maximum starts at -5e4 in place of -inf; a row whose logits are all below gives zeros"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import claims
from paged import Paged


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode"), ("scale", "data:large", "data:huge"))

    def attend_row(self, b, q, pos, step):
        n = int(pos[-1]) + 1
        k, v = self.gather(b, step, n)
        k, v = (np.repeat(x, self.H // self.G, 0) for x in (k, v))
        s = np.einsum("hqd,hnd->hqn", q.astype(np.float64), k) * self.scale * np.log2(np.e)
        s = np.where(self.sees(pos, np.arange(n)), s, -np.inf)
        m0 = -5e4  # BUG: math::inf is 5e4
        m = np.maximum(s.max(-1, keepdims=True), m0)
        p = np.exp2(s - m)
        d = p.sum(-1, keepdims=True) + np.exp2(m0 - m) * 0
        return np.einsum("hqn,hne->hqe", p / np.where(d == 0, 1, d), v)


def targets():
    return both(Bug, __file__)
