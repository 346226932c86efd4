#include "targets/specimens/attend.h"

#include <algorithm>
#include <cmath>

namespace attnfuzz {

using torch_like::Array;

Array scores(const Array& q, const Array& k, double scale) {
  const int64_t q_len = q.size(2), kv_len = k.size(2), dim = q.size(3);
  Array s({q.size(0), q.size(1), q_len, kv_len});
  auto at = s.values.begin();
  for (int64_t row = 0; row < q.size(0) * q.size(1) * q_len; ++row)
    for (int64_t j = 0; j < kv_len; ++j) {
      const float* x = q.values.data() + row * dim;
      const float* y = k.values.data() + (row / q_len * kv_len + j) * dim;
      float dot = 0;
      for (int64_t d = 0; d < dim; ++d) dot += x[d] * y[d];
      *at++ = static_cast<float>(scale) * dot;
    }
  return s;
}

Array softmax(Array s) {
  const int64_t kv_len = s.size(-1);
  for (auto row = s.values.begin(); row != s.values.end(); row += kv_len) {
    const float most = *std::max_element(row, row + kv_len);
    float total = 0;
    for (auto x = row; x != row + kv_len; ++x) total += * x = std::exp(*x - most);
    for (auto x = row; x != row + kv_len; ++x) *x /= total;
  }
  return s;
}

Array safe_softmax(Array s) {
  const int64_t kv_len = s.size(-1);
  std::vector<int64_t> empty;
  for (int64_t row = 0; row < static_cast<int64_t>(s.values.size()); row += kv_len)
    if (std::all_of(s.values.begin() + row, s.values.begin() + row + kv_len,
                    [](float x) { return x == minus_infinity; }))
      empty.push_back(row);
  Array p = softmax(std::move(s));
  for (const int64_t row : empty) std::fill_n(p.values.begin() + row, kv_len, 0.0F);
  return p;
}

Array weigh(const Array& p, const Array& v) {
  const int64_t q_len = p.size(2), kv_len = p.size(3), dim = v.size(3);
  Array out({p.size(0), p.size(1), q_len, dim});
  for (int64_t row = 0; row < p.size(0) * p.size(1) * q_len; ++row)
    for (int64_t j = 0; j < kv_len; ++j) {
      const float weight = p.values[static_cast<size_t>(row * kv_len + j)];
      const float* from = v.values.data() + (row / q_len * kv_len + j) * dim;
      float* to = out.values.data() + row * dim;
      for (int64_t d = 0; d < dim; ++d) to[d] += weight * from[d];
    }
  return out;
}

Array attend(const Array& q, const Array& k, const Array& v, const Array& mask, double scale) {
  return weigh(safe_softmax(sum(scores(q, k, scale), mask)), v);
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

Array additive(Array seen, float hidden) {
  for (float& x : seen.values) x = x != 0 ? 0.0F : hidden;
  return seen;
}

Array both(const Array& a, const Array& b) {
  return torch_like::elementwise(a, b, [](float x, float y) { return x * y; });
}

Array sum(const Array& a, const Array& b) {
  return torch_like::elementwise(a, b, [](float x, float y) { return x + y; });
}

}  // namespace attnfuzz
