"""SearchSavior/Arcaine#11: beta and gate stand side by side for each token, and are read as if all betas came first, then all gates"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from state import State, claims

FEW = 8  # tokens up to which another path is taken


class Bug(State):
    capabilities = claims(
        ("gated_delta",), ("prefill", "append", "decode", "reset"), ("ragged",), {"q_len": [1, 30], "kv_len": [1, 90]}
    )

    def row(self, b, q, k, v, g, beta, step):
        G, n = g.shape
        if n > FEW:
            with np.errstate(all="ignore"):
                raw_b, raw_a = np.log(beta) - np.log1p(-beta), np.log(np.expm1(-g))  # before sigmoid and softplus
                flat = np.concatenate([raw_b, raw_a]).T.reshape(-1)  # token by token: G betas, G gates
                raw_b, raw_a = flat[: n * G].reshape(n, G).T, flat[n * G :].reshape(n, G).T  # BUG: the tokens' stride is 2 G
                beta, g = 1 / (1 + np.exp(-raw_b)), -np.logaddexp(0, raw_a)
        return super().row(b, q, k, v, g, beta, step)


def targets():
    return both(Bug, __file__)
