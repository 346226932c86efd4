"""What a score_mod does, found by asking it with a few scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnfuzz_record._call import Call, Numbers
from attnfuzz_record._errors import NotSaid

ASKED = (-3.0, 0.5, 2.0)
"""Scores with which a score_mod is asked, beside 0 and a large one."""
LARGE = 1e30


def add_score_mod(call: Call, ask: Callable[[float], Numbers]) -> None:
    """Puts what it does into the call, if it is a softcap, a bias, a mask, or some of them; else raises NotSaid.

    ask: one score for all → what becomes of it, [batch, num_heads, q_len, kv_len].
    """
    bias, large = ask(0.0), ask(LARGE)
    seen = ~np.isneginf(bias)
    if not seen.any():
        raise NotSaid("a score_mod that hides every key")
    cap = float((large[seen] - bias[seen])[0])
    capped = cap < LARGE / 2
    for score in ASKED:
        expected = cap * np.tanh(score / cap) if capped else score
        if not np.allclose(ask(score)[seen] - bias[seen], expected, rtol=1e-5, atol=1e-5):
            raise NotSaid("a score_mod that is neither a softcap nor a bias")
    call.softcap = cap if capped else 0.0
    if not seen.all():
        call.add_mask(seen)
    if (bias := np.where(seen, bias, 0)).any():
        call.bias = bias
