#include "fuzz/work.h"

#include <algorithm>

namespace attnfuzz {

double work(const Case& c) {
  const Problem& p = c.problem;
  double pairs = static_cast<double>(p.q_len) * static_cast<double>(p.kv_len + p.memory_kv);
  std::vector<int64_t> totals(static_cast<size_t>(p.batch), 0);
  for (const Step& step : c.steps) {
    follow(step, totals);
    if (!step.has_tokens() || totals.empty()) continue;
    const int64_t keys = *std::max_element(totals.begin(), totals.end()) + p.memory_kv;
    pairs += static_cast<double>(step.q_len) * static_cast<double>(keys);
  }
  const double rows = static_cast<double>(p.batch) * static_cast<double>(p.num_heads) * pairs;
  return rows * static_cast<double>(p.head_dim + p.head_dim_v);
}

bool is_long(const Case& c) {
  constexpr double most_explained = 1e7;  // some tenths of a second for all meanings
  return work(c) > most_explained;
}

}  // namespace attnfuzz
