"""transformers#47086: the padding of a step of several tokens is kept out of the state only where there is no state yet: continued, it goes in"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from state import State, claims


class Bug(State):
    capabilities = claims(("ssd", "gated_delta"), ("prefill", "append", "decode", "reset"), ("ragged_left",))
    BUG = True

    def run(self, case, tensors):
        self.open(case, tensors)
        begun = False
        for n, step in enumerate(case["steps"]):
            res = {}
            if step["op"] in ("prefill", "append", "decode"):
                names = [x for x in ("q", "k", "v", "gate", "beta") if f"{x}.{n}" in tensors]
                t = {x: tensors[f"{x}.{n}"].astype(np.float64) for x in names}
                many = t["q"].shape[2]
                out = np.zeros((*t["q"].shape[:3], self.E), np.float32)
                for b in range(self.B):
                    real = step["lens"][b] if step.get("lens") else many
                    at = many - real if step.get("side") == "left" else 0
                    span = slice(at, at + real)
                    if self.BUG and begun and many > 1:  # BUG: padding is still padding
                        span = slice(0, many)
                    row = [t[x][b, :, span] for x in names] + [None] * (5 - len(names))
                    if row[0].shape[1]:
                        y = self.row(b, *row, step)
                        out[b, :, at : at + real] = y[:, at - span.start : at - span.start + real]
                    self.len[b] += real
                begun = True
                res["out"] = out
            else:
                self.reset()
                begun = False
            res["lengths"] = list(self.len)
            yield res


def targets():
    return both(Bug, __file__)
