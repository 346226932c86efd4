"""vllm#10388: M-RoPE's positions are cut at the left (context_len) and not at the right: a chunk gets those of the rest of the prompt"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from wildcache import Cache, claims


class Bug(Cache):
    capabilities = claims(("dynamic",), ("prefill", "append", "decode"), ("rope:half",))

    def turn(self, x, pos):
        if self.rope == "none":
            return x
        steps = self.case["steps"]
        prompt = 0
        for s in steps:  # the prompt is known from the start, and comes in chunks
            if s["op"] == "decode":
                break
            prompt += s["q_len"]
        llm_positions = np.arange(prompt)
        pos2 = llm_positions[pos[0] :] if pos[0] < prompt else pos  # BUG: [context_len:seq_len]
        from wildcache import rope_turn

        return rope_turn(x, pos2, self.p.get("rope_base", 10000.0), self.rope)


def targets():
    return both(Bug, __file__)
