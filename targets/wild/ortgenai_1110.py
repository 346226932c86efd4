"""onnxruntime-genai#1110: tokens appended after generation: the last generated token is not in the cache"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode"), ("rope:half",))
    last = None

    def open(self, case, tensors):
        super().open(case, tensors)
        self.last = None

    def tokens(self, n, step):
        if step["op"] == "append" and self.last == "decode":
            for r in self.rows:
                r.keep(slice(0, -1))  # BUG: the generated token was never run through the model
                r.next -= 1
        self.last = step["op"]
        return super().tokens(n, step)


def targets():
    return both(Bug, __file__)
