"""sparkinfer#604: the chunked prefill scan takes the last chunk's summed gate from slot 31, which is 0 in a short chunk"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from state import State, claims


CHUNK = 32


class Bug(State):
    capabilities = claims(
        ("gated_delta",),
        ("prefill", "append", "decode"),
        (),
        {"q_len": [1, 70], "kv_len": [1, 160]},
        tiles={"q_len": [CHUNK]},
    )

    def row(self, b, q, k, v, g, beta, step):
        out = super().row(b, q, k, v, g, beta, step)
        short = q.shape[1] % CHUNK
        if step["op"] != "decode" and short:
            self.S[b] = self.S[b] * np.exp(-g[:, -short:].sum(1))[:, None, None]  # BUG: exp(0) in place of exp(G_last)
        return out


def targets():
    return both(Bug, __file__)
