"""pytest test_with_pytest.py: a campaign on one function, and each finding a test of its own."""

import numpy as np

import attnfuzz


@attnfuzz.attention_test(features="gqa")
def test_attention(q, k, v, mask=None, scale=None):
    k, v = (np.repeat(a, q.shape[1] // a.shape[1], 1) for a in (k, v))
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v
