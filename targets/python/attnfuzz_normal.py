"""Philox 4x32-10 (Salmon et al., SC'11) and the numbers made of it, the same bits as oracle/philox.h.

A standalone repro holds all that follows the imports, word for word.
"""
from __future__ import annotations

import numpy as np


def philox(key, low, high):
    """The four words of each block; `low` is a uint64 array with at least one axis."""
    mask = 0xFFFFFFFF
    c, k = [low & mask, low >> 32, high & mask, high >> 32], [key & mask, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & mask, (a >> 32) ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def element_bits(seed, tensor, index):
    """64 bits for each element, counted by (tensor, index)."""
    words = philox(seed, index >> 1, tensor)
    return np.where(index & 1, words[2] | words[3] << 32, words[0] | words[1] << 32)


def normal(bits):
    """Close to N(0, 1): the sum of four 16-bit uniforms, centred and scaled."""
    total = sum((bits >> shift & 0xFFFF).astype(np.int64) for shift in (0, 16, 32, 48))
    return (2 * total - 262140) * 1.3214498960651507e-05


def normal_tensor(seed, tensor, *shape):
    """[batch, heads, len, dim] of normal numbers."""
    b, h, s, d = np.indices(shape, np.uint64)
    return normal(element_bits(seed, tensor, b << 52 | h << 40 | s << 16 | d))
