"""PyTorch's scaled_dot_product_attention of nested tensors (layout torch.jagged): packed sequences, each with lengths of its own.

What is claimed is what torch/nested/_internal/sdpa.py says (PyTorch 2.13): on the CPU the math backend takes nested queries, keys and
values without attn_mask and without is_causal, with as many KV heads as heads. A case without the rule "packed" is one sequence.
"""
from __future__ import annotations

import importlib.metadata
import warnings
from typing import ClassVar

import numpy as np
from attnfuzz_worker import from_torch, rule, to_layout, to_torch

REQUIRES = ["torch", "numpy"]


class Nested:
    name, about = "torch-nested:sdpa-math", "scaled_dot_product_attention of jagged nested tensors, the composed backend"
    version = importlib.metadata.version("torch")
    capabilities: ClassVar = {
        "sizes": {"batch": [1, 1], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70], "kv_len": [1, 70],
                  "head_dim": [1, 64], "head_dim_v": [1, 64]},
        "equal": [["num_heads", "num_kv_heads"]],
        "features": ["dtype:f64", "dtype:f32", "layout:bshd", "layout:bhsd", "cross", "longer_q", "head_dim_v", "scale", "rule:packed",
                     "fully_masked:zero", "data:large", "data:constant", "data:one_hot", "data:far_below", "data:cancelling"],
    }

    def load(self) -> None:
        import torch

        warnings.filterwarnings("ignore")
        torch.set_num_threads(1)
        self.torch = torch

    def nested(self, case: dict, array: np.ndarray, lens: list[int]):
        """[1, tokens, heads, dim] as a nested tensor [sequences, heads, (length), dim]."""
        tokens = to_torch(np.ascontiguousarray(to_layout(case, array, "bshd")[0]), case["problem"]["dtype"], "cpu")
        offsets = self.torch.tensor(np.concatenate([[0], np.cumsum(lens)]), dtype=self.torch.int64)
        return self.torch.nested.nested_tensor_from_jagged(tokens, offsets).transpose(1, 2)

    def run(self, case: dict, tensors: dict) -> list[dict]:
        p = case["problem"]
        packed = rule(case, "packed") or {"q_lens": [p["q_len"]], "kv_lens": [p["kv_len"]]}
        q, k, v = (self.nested(case, tensors[name], packed[lens]) for name, lens in
                   (("q", "q_lens"), ("k", "kv_lens"), ("v", "kv_lens")))
        with self.torch.no_grad():
            out = self.torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=p["scale"])
        return [{"out": to_layout(case, from_torch(out.transpose(1, 2).values()[None], p["dtype"]), "bshd")}]


def targets() -> list:
    return [Nested()]
