"""nano-vllm#213: chunked prefill: seqlen_k is the length of the whole prompt, not the end of the chunk"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import attend, claims
from paged import Paged


class Bug(Paged):
    capabilities = claims(("paged",), ("prefill", "append", "decode"), ())

    def attend_row(self, b, q, pos, step):
        if step["op"] == "decode":
            return super().attend_row(b, q, pos, step)
        prompt = 0
        for s in self.case["steps"]:
            if s["op"] == "decode":
                break
            prompt += s["q_len"]
        end = int(pos[-1]) + 1
        ahead = max(0, prompt - end)  # BUG: seqlen_k should be end
        k, v = self.gather(b, step, end)
        k, v = (np.concatenate([x, np.zeros((x.shape[0], ahead, x.shape[2]))], 1) for x in (k, v))
        return attend(self.turn(q, pos), k, v, self.sees(pos + ahead, np.arange(end + ahead)), self.scale)


def targets():
    return both(Bug, __file__)
