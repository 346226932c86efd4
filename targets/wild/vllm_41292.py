"""vllm#41292: chunked prefill takes the cached recurrent state [V, K] for [K, V] (rebuilt with the gated delta rule, KDA is no kind)"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from state import State, claims


class Bug(State):
    capabilities = claims(
        ("gated_delta",), ("prefill", "append", "decode"), ("ragged",), equal=[["head_dim", "head_dim_v"]]
    )

    def state_of(self, b, L, step):
        S = self.S[b]
        return S.swapaxes(1, 2) if step["op"] == "append" else S  # BUG: the pool's layout is V first


def targets():
    return both(Bug, __file__)
