"""PyTorch's float64 math SDPA on one thread: the peer of the oracle. Prints GFLOP/s by length as JSON.

FLOPs are counted as 4·heads·q_len·kv_len·head_dim (two matrix products), and processor time, on both
sides, so that what else the machine does matters little.
Usage: torch_math_gflops.py LENGTH…
"""
import json
import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention as sdpa

torch.set_num_threads(1)
HEADS, DIM = 4, 128
result = {}
for length in map(int, sys.argv[1:]):
    q, k, v = (torch.randn(1, HEADS, length, DIM, dtype=torch.float64) for _ in range(3))
    best = float("inf")
    with sdpa_kernel(SDPBackend.MATH):
        for _ in range(5):
            start = time.process_time()
            sdpa(q, k, v)
            best = min(best, time.process_time() - start)
    result[length] = 4 * HEADS * length * length * DIM / best / 1e9
print(json.dumps(result))
