#pragma once
#include <limits>
#include <optional>

#include "targets/specimens/torch_like.h"

/// Attention in the steps that PyTorch models write it in, f32 throughout. Shapes: q [batch, heads,
/// q_len, dim], k [batch, heads, kv_len, dim], v [batch, heads, kv_len, dim_v], scores and p
/// [batch, heads, q_len, kv_len].
namespace attnfuzz {

/// What "eager" models add to the score of a key that is not seen (torch.finfo.min): a row that
/// sees nothing becomes the mean of all values.
inline constexpr float lowest_score = -3.4028234663852886e38F;
/// What fused kernels add.
inline constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// scale · q kᵀ.
torch_like::Array scores(const torch_like::Array& q, const torch_like::Array& k, double scale);

/// torch.softmax over the last axis: a row of −inf gives NaN.
torch_like::Array softmax(torch_like::Array s);
/// PyTorch's _safe_softmax: a row of −inf gives zeros.
torch_like::Array safe_softmax(torch_like::Array s);

/// p v.
torch_like::Array weigh(const torch_like::Array& p, const torch_like::Array& v);

/// safe_softmax(scale · q kᵀ + mask) v; the additive mask broadcasts to the scores.
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
torch_like::Array additive(torch_like::Array seen, float hidden);

/// a & b and a + b, with broadcasting.
torch_like::Array both(const torch_like::Array& a, const torch_like::Array& b);
torch_like::Array sum(const torch_like::Array& a, const torch_like::Array& b);

}  // namespace attnfuzz
