#pragma once
#include <optional>

#include "targets/specimens/torch_like.h"

namespace attnfuzz {

/// What a model adds to the score of a key that is not seen: the most negative float ("eager"
/// models add torch.finfo.min, so that a row that sees nothing becomes the mean of all values) …
inline constexpr float lowest_score = -3.4028234663852886e38F;

/// softmax(scale · q kᵀ + mask) v in f32. Shapes: q [batch, heads, q_len, dim], k [batch, heads,
/// kv_len, dim], v [batch, heads, kv_len, dim_v]; mask, additive, broadcasts to [batch, heads,
/// q_len, kv_len]. … or −inf; a row that is −inf throughout gives zeros, as fused kernels do.
torch_like::Array attend(const torch_like::Array& q, const torch_like::Array& k,
                         const torch_like::Array& v, const torch_like::Array& mask, double scale);

/// The positions' part of a mask. Query i stands at key first_query + i and sees the keys up to
/// there (causal), in its own chunk (if given), and no more than `left` keys back (if given).
struct Reach {
  int64_t first_query = 0;
  bool causal = false;
  std::optional<int64_t> chunk = {}, left = {};
};

/// 1 where seen, 0 where not: [q_len, kv_len].
torch_like::Array visible(int64_t q_len, int64_t kv_len, const Reach& reach);

/// 1 → 0 and 0 → hidden: what to add to the scores for a mask of ones and zeros.
torch_like::Array additive(torch_like::Array visible, float hidden);

/// Both masks at once (&), with broadcasting.
torch_like::Array both(const torch_like::Array& a, const torch_like::Array& b);

}  // namespace attnfuzz
