#include "oracle/work.h"

#include <algorithm>

namespace attnfuzz {

std::vector<StepSize> step_sizes(const Case& c) {
  const Problem& p = c.problem;
  if (!c.cached()) return {{p.q_len, p.memory_kv + p.kv_len, query_position(p, 0)}};
  std::vector<StepSize> sizes;
  std::vector<int64_t> totals(static_cast<size_t>(p.batch), 0);
  for (const Step& step : c.steps) {
    const int64_t before = totals.empty() ? 0 : *std::max_element(totals.begin(), totals.end());
    follow(step, totals);
    StepSize& size = sizes.emplace_back();
    if (!step.has_tokens() || totals.empty()) continue;
    size = {step.q_len, *std::max_element(totals.begin(), totals.end()), before};
    const bool bounded = c.cache->forgets() && c.cache->kind != CacheKind::hybrid;
    if (bounded) size.keys = std::min(size.keys, c.cache->capacity + step.keys());
    size.keys += p.memory_kv;
  }
  return sizes;
}

double work(const Case& c) {
  double all = 0;
  for (const StepSize& size : step_sizes(c)) all += size.of_all(c.problem);
  return all;
}

}  // namespace attnfuzz
