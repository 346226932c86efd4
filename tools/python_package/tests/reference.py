"""Attention in plain NumPy, for the tests: every option of the package, and ways to be wrong."""

import numpy as np


def attention(q, k, v, mask=None, bias=None, scale=None, softcap=0, sinks=None, mem_k=None, mem_v=None):
    """softmax(scale·q·kᵀ) · v in float64; layout bhsd, as many KV heads as query heads or fewer."""
    out_type = q.dtype
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    batch, heads, q_len, dim = q.shape
    if mem_k is not None:
        k = np.concatenate([np.broadcast_to(mem_k, (batch, *mem_k.shape)), k], 2)
        v = np.concatenate([np.broadcast_to(mem_v, (batch, *mem_v.shape)), v], 2)
    k, v = (np.repeat(a, heads // a.shape[1], 1) for a in (k, v))
    s = q @ k.swapaxes(-1, -2) * (dim**-0.5 if scale is None else scale)
    if softcap:
        s = softcap * np.tanh(s / softcap)
    memory = 0 if mem_k is None else mem_k.shape[1]
    if bias is not None:
        s[..., memory:] += bias
    if mask is not None:
        s[..., memory:] = np.where(mask, s[..., memory:], -np.inf)
    top = s.max(-1, keepdims=True) if sinks is None else np.maximum(s.max(-1, keepdims=True), sinks[:, None, None])
    p = np.exp(s - top)
    total = p.sum(-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks[:, None, None] - top)
    return (p / total @ v).astype(out_type)


def mask_of_flags(q_len, kv_len, causal=False, window=None, lens=None):
    """[batch or 1, 1, q_len, kv_len], the first query at key 0."""
    i, j = np.arange(q_len)[:, None], np.arange(kv_len)
    seen = np.ones((1, 1, q_len, kv_len), bool)
    if causal:
        seen = seen & (j <= i)
    if window is not None:
        seen = seen & (i - window[0] <= j) & (j <= i + window[1])
    if lens is not None:
        seen = seen & (j < np.array(lens)[:, None, None, None])
    return seen


def flags(q, k, v, causal=False, window=None, lens=None):
    return attention(q, k, v, mask_of_flags(q.shape[2], k.shape[2], causal, window, lens))


def mask_over_heads(q, k, v, mask=None):
    """Wrong: the mask's batch and head axes are swapped."""
    return attention(q, k, v, mask if mask is None else mask.swapaxes(0, 1))


def double_scale(q, k, v, mask=None):
    """Wrong: scaled twice."""
    return attention(q, k, v, mask, scale=1 / q.shape[-1])
