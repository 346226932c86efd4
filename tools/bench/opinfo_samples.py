#!/usr/bin/env python3
"""What PyTorch's OpInfo tries of scaled_dot_product_attention (needs torch and expecttest): prints a line of docs/comparison.md."""
import torch
from torch.testing._internal.common_methods_invocations import op_db

op = next(op for op in op_db if op.name == "nn.functional.scaled_dot_product_attention")
samples = list(op.sample_inputs("cpu", torch.float32))
shapes = sorted({(tuple(s.input.shape), tuple(s.args[0].shape)) for s in samples})
masks = sum(s.kwargs.get("attn_mask") is not None for s in samples)
print(f"torch {torch.__version__}: {len(samples)} samples, {masks} with a mask; q and k: {shapes}; ref: {op.ref}")
