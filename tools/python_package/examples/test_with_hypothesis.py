"""pytest test_with_hypothesis.py: properties of one's own on attnfuzz's cases."""

import numpy as np
from hypothesis import given

from attnfuzz.strategies import inputs


def attention(q, k, v):
    scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


@given(inputs(head_dim=(1, 16)))
def test_it_is_right(pair):
    case, t = pair
    case.check(attention(t["q"], t["k"], t["v"]))


@given(inputs(head_dim=(1, 16)))
def test_the_order_of_the_keys_makes_no_difference(pair):
    case, t = pair
    case.check(attention(t["q"], t["k"][:, :, ::-1], t["v"][:, :, ::-1]))
