"""PyTorch's attention through its documented options: masks, flags, grouped heads, half precision."""

from torch.nn.functional import scaled_dot_product_attention

import attnfuzz


def sdpa(q, k, v, attn_mask=None, is_causal=False, scale=None, enable_gqa=False):
    return scaled_dot_product_attention(q, k, v, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa)


# torch's is_causal puts query 0 at key 0; other alignments reach it as a mask.
result = attnfuzz.check(sdpa, cases=300, dtype=["f32", "bf16"], align="top_left", head_dim=(8, 64, 8))
print(result)
print("covered:", ", ".join(sorted(result.covered)))
