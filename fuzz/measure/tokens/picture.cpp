#include "fuzz/measure/tokens/picture.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {

std::string picture_of(const Plan& plan, const Query& query, const Weights& got) {
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  constexpr size_t most = 40;
  const size_t width = std::min(most, held.tokens.size());
  const int64_t head = plan.c.problem.kv_head(query.h);
  std::string lines;
  size_t count = 0;
  for (size_t n = 0; n < plan.queries.size() && count < most; ++n) {
    const Query& each = plan.queries[n];
    if (each.step != query.step || each.b != query.b || each.h != query.h) continue;
    ++count;
    std::string declared(width, '.'), seen(width, '.');
    double sum = 0, own = 0;
    for (const double w : got.of(n)) sum += w;
    for (size_t j = 0; j < width; ++j) {
      const size_t source = plan.source(held.tokens[j], head);
      for (const Key& key : each.keys)
        if (key.source == source) declared[j] = '#';
      if (got.of(n)[source] > 1e-6) seen[j] = '#';
    }
    for (const Token& token : held.tokens) own += got.of(n)[plan.source(token, head)];
    lines += fmt::format("{:>4}  {}   {}{}\n", each.i, declared, seen,
                         sum - own > 1e-3 ? "  and tokens of elsewhere" : "");
  }
  return fmt::format("{}, queries down, the row's keys across: declared, and measured\n{}",
                     describe_query(plan, query), lines);
}

}  // namespace attnfuzz::measure
