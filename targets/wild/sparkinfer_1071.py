"""gittensor-ai-lab/sparkinfer#1071: the scans of a prefill start from an empty state in every pass, also in one that goes on behind earlier tokens; decoding reads the state"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from state import State, claims


class Bug(State):
    capabilities = claims(("gated_delta",), ("prefill", "append", "decode", "reset"), ("ragged",))

    def state_of(self, b, L, step):
        if step["op"] == "decode":
            return self.S[b]
        return np.zeros_like(self.S[b])  # BUG: what the row has kept from earlier passes


def targets():
    return both(Bug, __file__)
