"""The peer of a cached campaign: what one writes today, Hypothesis's RuleBasedStateMachine around a KV cache on PyTorch.

The same steps (prefill, append, decode, reorder, fork, crop, evict, reset), math SDPA in float32 over the cached keys,
and after each step that asks for attention the textbook answer in float64 over the whole history. Prints its steps per
second as JSON. Usage: hypothesis_cache.py MACHINES
"""
import json
import sys
import time

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention as sdpa

torch.set_num_threads(1)
steps = 0


class Caches(RuleBasedStateMachine):
    @initialize(batch=st.integers(1, 4), kv_heads=st.integers(1, 3), group=st.integers(1, 3), dim=st.integers(1, 16),
                seed=st.integers(0, 2**32 - 1))
    def start(self, batch, kv_heads, group, dim, seed):
        self.batch, self.kv_heads, self.group, self.dim = batch, kv_heads, group, dim
        self.generator = torch.Generator().manual_seed(seed)
        self.empty()

    def empty(self):
        self.k = self.v = torch.zeros(self.batch, self.kv_heads, 0, self.dim)  # the cache under test
        self.rows = [[] for _ in range(self.batch)]  # the model: every row's tokens

    def attend(self, tokens):
        global steps
        steps += 1
        draw = lambda heads: torch.randn(self.batch, heads, tokens, self.dim, generator=self.generator)
        q, k, v = draw(self.kv_heads * self.group), draw(self.kv_heads), draw(self.kv_heads)
        past = self.k.shape[2]
        self.k, self.v = torch.cat([self.k, k], 2), torch.cat([self.v, v], 2)
        for b, row in enumerate(self.rows):
            row.extend((k[b, :, i], v[b, :, i]) for i in range(tokens))
        seen = torch.ones(tokens, past + tokens, dtype=torch.bool).tril(past)
        with sdpa_kernel(SDPBackend.MATH):
            out = sdpa(q, self.k, self.v, attn_mask=seen, enable_gqa=True)
        for b, row in enumerate(self.rows):
            assert len(row) == self.k.shape[2]
            k64, v64 = (torch.stack(x, 1).double().repeat_interleave(self.group, 0) for x in zip(*row))
            s = (q[b].double() @ k64.mT * self.dim**-0.5).masked_fill(~seen, float("-inf"))
            torch.testing.assert_close(out[b].double(), torch.softmax(s, -1) @ v64, rtol=1.3e-6, atol=1e-5)

    def change(self, keep, order=None):
        global steps
        steps += 1
        order = list(range(self.batch)) if order is None else order
        self.k, self.v = self.k[order][:, :, keep], self.v[order][:, :, keep]
        self.rows = [[self.rows[b][j] for j in keep] for b in order]

    def length(self):
        return self.k.shape[2]

    @precondition(lambda self: self.length() == 0)
    @rule(tokens=st.integers(1, 9))
    def prefill(self, tokens):
        self.attend(tokens)

    @precondition(lambda self: 0 < self.length() < 40)
    @rule(tokens=st.integers(1, 9))
    def append(self, tokens):
        self.attend(tokens)

    @precondition(lambda self: 0 < self.length() < 40)
    @rule()
    def decode(self):
        self.attend(1)

    @precondition(lambda self: self.length() > 0)
    @rule(data=st.data())
    def reorder(self, data):
        row = st.integers(0, self.batch - 1)
        self.change(list(range(self.length())), data.draw(st.lists(row, min_size=self.batch, max_size=self.batch)))

    @precondition(lambda self: self.length() > 0)
    @rule(data=st.data())
    def fork(self, data):
        order = list(range(self.batch))
        order[data.draw(st.integers(0, self.batch - 1))] = data.draw(st.integers(0, self.batch - 1))
        self.change(list(range(self.length())), order)

    @precondition(lambda self: self.length() > 0)
    @rule(data=st.data())
    def crop(self, data):
        self.change(list(range(data.draw(st.integers(0, self.length())))))

    @precondition(lambda self: self.length() > 0)
    @rule(data=st.data())
    def evict(self, data):
        start = data.draw(st.integers(0, self.length() - 1))
        count = data.draw(st.integers(1, self.length() - start))
        self.change([j for j in range(self.length()) if not start <= j < start + count])

    @precondition(lambda self: self.length() > 0)
    @rule()
    def reset(self):
        global steps
        steps += 1
        self.empty()


begin = time.perf_counter()
run_state_machine_as_test(Caches, settings=settings(
    max_examples=int(sys.argv[1]), stateful_step_count=6, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck)))
seconds = time.perf_counter() - begin
print(json.dumps({"steps": steps, "seconds": round(seconds, 3), "steps_per_second": round(steps / seconds)}))
