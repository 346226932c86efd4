#include "targets/specimens/attend.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attnfuzz {

using torch_like::Array;

namespace {

/// One query row: out[dim_v] from q[dim], k [kv_len, dim], v [kv_len, dim_v], mask[kv_len].
struct Row {
  const float *q, *k, *v, *mask;
  float* out;
};

void attend_row(const Row& row, int64_t kv_len, int64_t dim, int64_t dim_v, float scale,
                std::vector<float>& p) {
  float most = -std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < kv_len; ++j) {
    float dot = 0;
    for (int64_t d = 0; d < dim; ++d) dot += row.q[d] * row.k[j * dim + d];
    const float score = scale * dot + row.mask[j];
    p[static_cast<size_t>(j)] = score;
    most = std::max(most, score);
  }
  if (most == -std::numeric_limits<float>::infinity()) return;
  float sum = 0;
  for (int64_t j = 0; j < kv_len; ++j)
    sum += p[static_cast<size_t>(j)] = std::exp(p[static_cast<size_t>(j)] - most);
  for (int64_t j = 0; j < kv_len; ++j) {
    const float weight = p[static_cast<size_t>(j)];
    for (int64_t d = 0; d < dim_v; ++d) row.out[d] += weight * row.v[j * dim_v + d];
  }
  for (int64_t d = 0; d < dim_v; ++d) row.out[d] /= sum;
}

}  // namespace

Array attend(const Array& q, const Array& k, const Array& v, const Array& mask, double scale) {
  const int64_t batch = q.size(0), heads = q.size(1), q_len = q.size(2), dim = q.size(3);
  const int64_t kv_len = k.size(2), dim_v = v.size(3);
  const Array full = torch_like::expand(mask, {batch, heads, q_len, kv_len});
  Array out({batch, heads, q_len, dim_v});
  std::vector<float> p(static_cast<size_t>(kv_len));
  for (int64_t bh = 0; bh < batch * heads; ++bh)
    for (int64_t i = 0; i < q_len; ++i) {
      const int64_t at = bh * q_len + i;
      attend_row({q.values.data() + at * dim, k.values.data() + bh * kv_len * dim,
                  v.values.data() + bh * kv_len * dim_v, full.values.data() + at * kv_len,
                  out.values.data() + at * dim_v},
                 kv_len, dim, dim_v, static_cast<float>(scale), p);
    }
  return out;
}

Array visible(int64_t q_len, int64_t kv_len, const Reach& reach) {
  Array mask({q_len, kv_len});
  auto seen = mask.values.begin();
  for (int64_t i = 0; i < q_len; ++i)
    for (int64_t j = 0; j < kv_len; ++j) {
      const int64_t at = reach.first_query + i;
      *seen++ = (!reach.causal || j <= at) &&
                (!reach.chunk || j / *reach.chunk == at / *reach.chunk) &&
                (!reach.left || j >= at - *reach.left);
    }
  return mask;
}

Array additive(Array visible, float hidden) {
  for (float& x : visible.values) x = x != 0 ? 0.0F : hidden;
  return visible;
}

Array both(const Array& a, const Array& b) {
  return torch_like::elementwise(a, b, [](float x, float y) { return x * y; });
}

}  // namespace attnfuzz
