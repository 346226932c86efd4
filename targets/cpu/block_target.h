#pragma once
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "targets/cpu/query_rows.h"
#include "targets/cpu/tiled_backward.h"

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
    Outcome outcome;
    StepOutput& step = outcome.steps.emplace_back(empty_output(p));
    with_element_type(p.dtype, [&]<class T>(std::type_identity<T>) {
      attend<T>(p, inputs, Strategy<T>(p), step);
    });
    return outcome;
  }

  template <class T>
  static void attend(const Problem& p, const Inputs& inputs, Strategy<T> strategy,
                     StepOutput& step) {
    const SharedInputs shared(p, inputs);
    const auto k = bytes_of(p.layout, inputs.at("k")), v = bytes_of(p.layout, inputs.at("v"));
    const bool with_lse = p.asks(Output::lse) || p.asks_gradients();
    std::vector<double> lse(static_cast<size_t>(with_lse ? p.batch * p.num_heads * p.q_len : 0));
    RowQueries queries;
    queries.q = bytes_of(p.layout, inputs.at("q"));
    queries.out = bytes_of(p.layout, step.out);
    queries.count = queries.q_len = p.q_len;
    queries.first_position = query_position(p, 0);
    queries.keys = {0, p.kv_len};
    queries.lse = with_lse ? lse.data() : nullptr;
    std::optional<TiledBackward<T>> backward;
    if (p.asks_gradients()) backward.emplace(p, inputs, step);
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t g = 0; g < p.num_kv_heads; ++g) {
        const std::vector<QueryRow> rows = query_rows(p, shared, b, g, queries);
        const KeySegment memory = memory_segment(p, shared, g);
        const KeySegment keys{k.at(b, g, 0), v.at(b, g, 0), k.token, v.token, 0, p.kv_len, false};
        strategy(rows, memory, keys);
        if (backward) backward->add(b, g, rows, memory, keys);
      }
    if (backward) backward->finish();
    if (p.asks(Output::lse)) {
      Tensor& to = step.more.at(Output::lse);
      to = Tensor::from_doubles(to.dtype, to.shape, lse);
    }
  }
};

}  // namespace attnfuzz
