"""PyTorch's float64 math SDPA on the GPU: the peer of the oracle there. Prints GFLOP/s by length as JSON.

FLOPs are counted as in tools/gpu/oracle_gflops.cu, and times taken with the same events: the best of five.
Usage: torch_math_gflops.py LENGTH…
"""
import json
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention as sdpa

HEADS, DIM = 4, 128
result = {}
for length in map(int, sys.argv[1:]):
    q, k, v = (torch.randn(1, HEADS, length, DIM, dtype=torch.float64, device="cuda") for _ in range(3))
    best = float("inf")
    with sdpa_kernel(SDPBackend.MATH):
        for number in range(6):  # the first one warms up
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            sdpa(q, k, v)
            end.record()
            torch.cuda.synchronize()
            if number > 0:
                best = min(best, start.elapsed_time(end))
    result[length] = 4 * HEADS * length * length * DIM / best / 1e6
print(json.dumps(result))
