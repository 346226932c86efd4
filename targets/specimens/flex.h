#pragma once
#include <optional>

#include "targets/specimens/attend.h"

namespace attnfuzz {

/// torch.nn.attention.flex_attention's block mask, as far as it matters here: it knows for each
/// position whether it is seen, and remembers the lengths that it was made for.
struct BlockMask {
  torch_like::Array real;  ///< [batch, 1, 1, kv_len]: 1 for a real token
  int64_t q_len;
  Reach reach;

  Shape shape() const { return {real.size(0), 1, q_len, real.size(3)}; }
};

/// What Transformers' make_flex_block_causal_mask does (integrations/flex_attention.py, 4.51): it
/// lengthens the padding mask [batch, tokens] by key_length zeros, so that every key slot up to
/// there has an entry, and makes a block mask for q_len × key_length from it. key_length none is
/// Python's None.
BlockMask make_flex_block_mask(const torch_like::Array& attention_mask, int64_t q_len,
                               std::optional<int64_t> key_length, const Reach& reach);

/// flex_attention: refuses a block mask that was made for other lengths, in PyTorch 2.6's words
/// ("block_mask was created for block_mask.shape=(2, 1, 8, 8192) but got q_len=8 and kv_len=8. …").
torch_like::Array flex_attention(const torch_like::Array& q, const torch_like::Array& k,
                                 const torch_like::Array& v, const BlockMask& mask, double scale);

}  // namespace attnfuzz
