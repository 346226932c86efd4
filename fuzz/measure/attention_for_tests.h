#pragma once
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "fuzz/measure/plan.h"
#include "oracle/rows.h"
#include "targets/target.h"

namespace attnfuzz::measure::testing {

/// The weights of all keys of a query's row, from their scaled scores.
using Weigh =
    std::function<std::vector<double>(const Query& query, std::span<const double> scores)>;

/// What attention with these weights gives on a case without a cache, in double; `inputs` may be
/// others than the case's.
inline Outcome attention(const Case& c, const Inputs& inputs, const Weigh& weigh) {
  const Problem& p = c.problem;
  const std::vector<double> q = inputs.at("q").to_doubles(), k = inputs.at("k").to_doubles(),
                            v = inputs.at("v").to_doubles();
  const Rows of_q(p.layout, inputs.at("q").shape), of_k(p.layout, inputs.at("k").shape),
      of_v(p.layout, inputs.at("v").shape);
  const Shape shape = output_spec(p, Output::out, p.q_len).shape;
  const Rows of_out(p.layout, shape);
  std::vector<double> all(static_cast<size_t>(p.batch * p.num_heads * p.q_len * p.head_dim_v), 0.0);
  const auto row = [](const std::vector<double>& of, int64_t at, int64_t dim) {
    return std::span(of).subspan(static_cast<size_t>(at), static_cast<size_t>(dim));
  };
  for (const Query& query : declared(c).queries) {
    const int64_t g = p.kv_head(query.h);
    std::vector<double> scores;
    for (int64_t j = 0; j < p.kv_len; ++j) {
      const auto a = row(q, of_q.index(query.b, query.h, query.i), p.head_dim),
                 b = row(k, of_k.index(query.b, g, j), p.head_dim);
      scores.push_back(p.scale_value() * std::inner_product(a.begin(), a.end(), b.begin(), 0.0));
    }
    const std::vector<double> weights = weigh(query, scores);
    const auto at = static_cast<size_t>(of_out.index(query.b, query.h, query.i));
    for (int64_t j = 0; j < p.kv_len; ++j)
      for (size_t d = 0; d < static_cast<size_t>(p.head_dim_v); ++d)
        all[at + d] +=
            weights[static_cast<size_t>(j)] * row(v, of_v.index(query.b, g, j), p.head_dim_v)[d];
  }
  return Outcome{Status::ok, "", {{Tensor::from_doubles(p.dtype, shape, all), {}}}};
}

/// Which keys of its row a query sees, by place.
inline std::vector<bool> seen_by(const Query& query, size_t keys) {
  std::vector<bool> seen(keys, false);
  for (const Key& key : query.keys) seen[key.place] = true;
  return seen;
}

}  // namespace attnfuzz::measure::testing
