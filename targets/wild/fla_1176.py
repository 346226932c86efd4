"""flash-linear-attention#1176 (its second error): a partial chunk's gates are cached as sums and summed again"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from state import State, claims

CHUNK = 16


class Bug(State):
    capabilities = claims(("ssd",), ("prefill", "append", "decode"), ("ragged",), tiles={"q_len": [16]})

    def open(self, case, tensors):
        super().open(case, tensors)
        self.part = [
            [np.zeros((self.G, 0, self.D)), np.zeros((self.G, 0, self.E)), np.zeros((self.G, 0))] for _ in range(self.B)
        ]

    def row(self, b, q, k, v, g, beta, step):
        pk, pv, pg = self.part[b]
        n0 = pg.shape[1]
        k, v, g = np.concatenate([pk, k], 1), np.concatenate([pv, v], 1), np.concatenate([pg, g], 1)
        out, S = np.zeros((self.H, q.shape[1], self.E)), self.S[b]
        rep = self.H // self.G
        for c in range(0, k.shape[1], CHUNK):
            ck, cv, cg = k[:, c : c + CHUNK], v[:, c : c + CHUNK], g[:, c : c + CHUNK]
            G = np.cumsum(cg, 1)
            for i in range(ck.shape[1]):
                if c + i >= n0:
                    w = np.exp(G[:, i : i + 1] - G[:, : i + 1])
                    St = np.exp(G[:, i])[:, None, None] * S + np.einsum(
                        "gn,gnd,gne->gde", w, ck[:, : i + 1], cv[:, : i + 1]
                    )
                    out[:, c + i - n0] = self.scale * np.einsum("hde,hd->he", np.repeat(St, rep, 0), q[:, c + i - n0])
            if ck.shape[1] == CHUNK:
                S = np.exp(G[:, -1])[:, None, None] * S + np.einsum("gn,gnd,gne->gde", np.exp(G[:, -1:] - G), ck, cv)
                self.part[b] = [ck[:, :0], cv[:, :0], cg[:, :0]]
            else:
                self.part[b] = [ck, cv, G]  # BUG: raw cg belongs here
        self.S[b] = S
        return out


def targets():
    return both(Bug, __file__)
