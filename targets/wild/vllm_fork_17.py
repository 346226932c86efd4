"""local-inference-lab/vllm#17: the merge of the chunks' outputs reads the suffix with the prefix' strides (padded V against dense)"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


def part(q, k, v, seen, scale, rep):
    k, v = np.repeat(k, rep, 0), np.repeat(v, rep, 0)
    s = np.where(seen, np.einsum("hqd,hnd->hqn", q.astype(np.float64), k) * scale, -np.inf)
    m = s.max(-1, keepdims=True)
    p = np.exp(s - m)
    d = p.sum(-1, keepdims=True)
    return np.einsum("hqn,hne->hqe", p / d, v), m + np.log(d)


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode"), ("ragged", "scale"))
    WORK = 4  # tokens of context for one iteration

    def attend_row(self, b, q, pos, step):
        r, past, rep = self.rows[b], int(pos[0]), self.H // self.G
        if step["op"] != "append" or not past:
            return super().attend_row(b, q, pos, step)
        o, l, n_iter = None, None, 0
        for a in range(0, past, self.WORK):
            e = min(past, a + self.WORK)
            o2, l2 = part(q, r.k[:, a:e], r.v[:, a:e], np.ones((1, 1, e - a), bool), self.scale, rep)
            o, l = (o2, l2) if o is None else self.merge(o, l, o2, l2)
            n_iter += 1
        o2, l2 = part(q, r.k[:, past:], r.v[:, past:], self.sees(pos, r.pos[past:]), self.scale, rep)
        if n_iter > 1 and self.E < self.D:  # suffix is a view of [Q, H, D], the merged prefix is dense [Q, H, E]
            H, Q, E = o2.shape
            pad = np.zeros((Q, H, self.D))
            pad[:, :, :E] = o2.swapaxes(0, 1)
            o2 = np.lib.stride_tricks.as_strided(
                pad, (H, Q, E), (8 * E, 8 * H * E, 8)
            ).copy()  # BUG: strides of the prefix
        return self.merge(o, l, o2, l2)[0]

    def merge(self, o1, l1, o2, l2):
        m = np.maximum(l1, l2)
        w1, w2 = np.exp(l1 - m), np.exp(l2 - m)
        return (w1 * o1 + w2 * o2) / (w1 + w2), m + np.log(w1 + w2)


def targets():
    return both(Bug, __file__)
