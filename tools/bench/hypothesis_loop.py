"""The peer of `attnfuzz run`: what one writes today, Hypothesis around PyTorch's attention.

Same sizes (read from `attnfuzz targets --json`), same kernel (math SDPA, float32), same question (is
it close to float64?), with assert_close's usual tolerances. A fixed tolerance calls right kernels wrong
now and then: such alarms are counted and do not end the run. Prints cases per second, and alarms, as JSON.
Usage: hypothesis_loop.py TARGETS_JSON CASES
"""
import json
import sys
import time

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention as sdpa

torch.set_num_threads(1)
with open(sys.argv[1]) as file:
    sizes = next(t for t in json.load(file) if t["name"] == "torch:sdpa-math")
sizes = sizes["capabilities"]["sizes"]
cases = int(sys.argv[2])
count = alarms = 0


def axis(name):
    low, high, step = (sizes[name] + [1])[:3]
    return st.integers(max(low, 1) // step or 1, high // step).map(lambda n: n * step)


@settings(max_examples=cases, deadline=None, database=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(batch=axis("batch"), kv_heads=st.integers(1, 4), group=st.integers(1, 4),
       q_len=axis("q_len"), kv_len=axis("kv_len"), dim=axis("head_dim"), causal=st.booleans(),
       scale=st.none() | st.floats(0.1, 2), seed=st.integers(0, 2**32 - 1))
def test_sdpa(batch, kv_heads, group, q_len, kv_len, dim, causal, scale, seed):
    global count, alarms
    count += 1
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(batch, kv_heads * group, q_len, dim, generator=generator)
    k = torch.randn(batch, kv_heads, kv_len, dim, generator=generator)
    v = torch.randn(batch, kv_heads, kv_len, dim, generator=generator)
    with sdpa_kernel(SDPBackend.MATH):
        out = sdpa(q, k, v, is_causal=causal, scale=scale, enable_gqa=True)
    # The reference, as one writes it: float64, by the textbook.
    k64, v64 = (x.double().repeat_interleave(group, dim=1) for x in (k, v))
    s = q.double() @ k64.transpose(-1, -2) * (dim**-0.5 if scale is None else scale)
    if causal:
        s = s.masked_fill(~torch.ones(q_len, kv_len, dtype=torch.bool).tril(), float("-inf"))
    try:
        torch.testing.assert_close(out.double(), torch.softmax(s, dim=-1) @ v64, rtol=1.3e-6, atol=1e-5)
    except AssertionError:
        alarms += 1


start = time.perf_counter()
test_sdpa()
seconds = time.perf_counter() - start
print(json.dumps({"cases": count, "seconds": seconds, "cases_per_second": count / seconds, "alarms": alarms}))
