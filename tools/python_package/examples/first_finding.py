"""A first finding: attention with the mask's batch axis forgotten, as several packages had it."""

import numpy as np

import attnfuzz


def attention(q, k, v, mask=None):
    scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = np.where(mask[0], scores, -np.inf)  # row 0's mask for every row
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


result = attnfuzz.check(attention)
print(result)
print(result.findings[0].case.mask_drawing())
