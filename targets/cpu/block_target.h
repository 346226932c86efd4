#pragma once
#include <span>
#include <string>
#include <utility>

#include "targets/cpu/query_rows.h"

namespace attnfuzz {

/// Capabilities of what Block computes without a cache. `sizes` and `tiles` are JSON objects.
std::string block_capabilities(std::string_view sizes, std::string_view tiles);

/// A target for cases without a cache. Strategy<T> is made from a Problem, and called for each key
/// head of each batch row with the query rows it serves, its memory keys and its keys.
template <template <class> class Strategy>
class BlockTarget : public CpuTarget {
 public:
  using CpuTarget::CpuTarget;

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override {
    const Problem& p = c.problem;
    Tensor out(p.dtype, shape_in(p.layout, p.batch, p.num_heads, p.q_len, p.head_dim_v));
    with_element_type(
        p.dtype, [&]<class T>(std::type_identity<T>) { attend(p, inputs, Strategy<T>(p), out); });
    Outcome outcome;
    outcome.steps.push_back({std::move(out), {}});
    return outcome;
  }

  template <class S>
  static void attend(const Problem& p, const Inputs& inputs, S strategy, Tensor& out) {
    const SharedInputs shared(p, inputs);
    const auto k = bytes_of(p.layout, inputs.at("k")), v = bytes_of(p.layout, inputs.at("v"));
    RowQueries queries;
    queries.q = bytes_of(p.layout, inputs.at("q"));
    queries.out = bytes_of(p.layout, out);
    queries.count = queries.q_len = p.q_len;
    queries.first_position = query_position(p, 0);
    queries.keys = {0, p.kv_len};
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t g = 0; g < p.num_kv_heads; ++g)
        strategy(query_rows(p, shared, b, g, queries), memory_segment(p, shared, g),
                 KeySegment{k.at(b, g, 0), v.at(b, g, 0), k.token, v.token, 0, p.kv_len, false});
  }
};

}  // namespace attnfuzz
