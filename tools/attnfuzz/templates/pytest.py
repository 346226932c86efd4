"""A test of an attention function. It runs as it is: pytest test_{{name}}.py"""
import attnfuzz
import numpy as np


def attention(q, k, v, mask=None):
    """Import yours instead."""
    scores = (q @ k.swapaxes(-1, -2)).astype(np.float64) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True) @ v).astype(q.dtype)


@attnfuzz.attention_test(cases=200)  # and what else it can do: dtype=["f16", "bf16"], gradients=True, head_dim=(8, 128, 8)
def test_{{name}}(q, k, v, mask=None):
    return attention(q, k, v, mask)
