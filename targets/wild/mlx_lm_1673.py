"""mlx-lm#1673: a chunked cache is trimmed by the size of its buffer, which grows in blocks, not by the tokens in it: live tokens go, empty places stay"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, attend, claims

GROW = 8  # tokens by which the buffer grows


class Bug(Cache):
    capabilities = claims(("chunked",), ("prefill", "append", "decode"), ("ragged",))

    def open(self, case, tensors):
        super().open(case, tensors)
        self.buf = [[np.zeros((self.G, 0, self.D)), np.zeros((self.G, 0, self.E))] for _ in range(self.B)]
        self.begin = [0] * self.B  # position of the buffer's first place

    def append(self, b, k, v, pos, step):
        super().append(b, k, v, pos, step)
        n, buf = k.shape[1], self.buf[b]
        size = buf[0].shape[1]
        if size >= self.cap:
            self.begin[b] += size - self.cap
            buf = [x[:, size - self.cap :] for x in buf]  # BUG: the tokens in it are to be counted
        size, at = buf[0].shape[1], int(pos[0]) - self.begin[b]
        if at + n > size:
            more = -(-n // GROW) * GROW
            kept = [x[:, :at] if at % GROW else x for x in buf]
            buf = [np.concatenate([x, np.zeros((self.G, more, x.shape[2]))], 1) for x in kept]
            size = buf[0].shape[1]
        places = range(*slice(at, at + n).indices(size))
        for x, new in zip(buf, (k, v)):
            x[:, places] = new[:, : len(places)]
        self.buf[b] = buf

    def attend_row(self, b, q, pos, step):
        k, v = (x[:, : int(pos[-1]) + 1 - self.begin[b]] for x in self.buf[b])
        return attend(q, k, v, self.sees(pos, self.begin[b] + np.arange(k.shape[1])), self.scale)


def targets():
    return both(Bug, __file__)
