#include "fuzz/faults/rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attnfuzz {
namespace {

/// [batch, heads, len, dim] whatever the layout.
std::vector<double> heads_first(Layout layout, const Tensor& tensor) {
  std::vector<double> values = tensor.to_doubles();
  if (layout == Layout::bhsd) return values;
  const Shape& s = tensor.shape;
  std::vector<double> turned(values.size());
  size_t at = 0;
  for (int64_t b = 0; b < s[0]; ++b)
    for (int64_t h = 0; h < s[2]; ++h)
      for (int64_t t = 0; t < s[1]; ++t)
        for (int64_t d = 0; d < s[3]; ++d)
          turned[at++] = values[static_cast<size_t>(((b * s[1] + t) * s[2] + h) * s[3] + d)];
  return turned;
}

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t d = 0; d < n; ++d) sum += a[d] * b[d];
  return sum;
}

double score(const Problem& p, double product, double bias, bool clamp) {
  const bool first = p.bias_order == BiasOrder::before_softcap;
  double s = p.scale_value() * product + (first ? bias : 0);
  if (p.softcap > 0)
    s = clamp ? std::clamp(s, -p.softcap, p.softcap) : p.softcap * std::tanh(s / p.softcap);
  return s + (first ? 0 : bias);
}

}  // namespace

RowReader::RowReader(const Case& c, const Inputs& inputs)
    : problem_(c.problem),
      q_(heads_first(c.problem.layout, inputs.at("q"))),
      k_(heads_first(c.problem.layout, inputs.at("k"))),
      v_(heads_first(c.problem.layout, inputs.at("v"))),
      mask_(dense_mask(c.problem, c.data)) {
  if (c.problem.memory_kv > 0) {
    mem_k_ = inputs.at("mem_k").to_doubles();
    mem_v_ = inputs.at("mem_v").to_doubles();
  }
  if (c.problem.sinks) sinks_ = inputs.at("sinks").to_doubles();
}

RowKeys RowReader::row(int64_t b, int64_t h, int64_t i, bool clamp) const {
  const Problem& p = problem_;
  const int64_t g = p.kv_head(h);
  RowKeys row{b, h, i, {}, -std::numeric_limits<double>::infinity()};
  if (!sinks_.empty()) row.sink = sinks_[static_cast<size_t>(h)];
  const double* q = q_.data() + ((b * p.num_heads + h) * p.q_len + i) * p.head_dim;
  for (int64_t j = 0; j < p.memory_kv; ++j) {
    const int64_t at = g * p.memory_kv + j;
    row.keys.push_back({-1, score(p, dot(q, mem_k_.data() + at * p.head_dim, p.head_dim), 0, clamp),
                        mem_v_.data() + at * p.head_dim_v});
  }
  for (int64_t j = 0; j < p.kv_len; ++j) {
    const auto in_mask = static_cast<size_t>(((b * p.num_heads + h) * p.q_len + i) * p.kv_len + j);
    if (mask_.visible[in_mask] == 0) continue;
    const int64_t at = (b * p.num_kv_heads + g) * p.kv_len + j;
    const double bias = mask_.bias.empty() ? 0 : mask_.bias[in_mask];
    row.keys.push_back({j, score(p, dot(q, k_.data() + at * p.head_dim, p.head_dim), bias, clamp),
                        v_.data() + at * p.head_dim_v});
  }
  return row;
}

}  // namespace attnfuzz
