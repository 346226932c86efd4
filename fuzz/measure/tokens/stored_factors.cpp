#include "fuzz/measure/tokens/stored_factors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/attributes.h"

namespace attnfuzz::measure {

bool StoredFactors::add(const Plan& plan, const Forge& forge, const Query& query,
                        std::span<const double> got, std::span<const double> want) {
  const bool quantised = plan.c.cached() && plan.c.cache->quant != Quant::none;
  if (!quantised || query.keys.empty()) return false;
  for (size_t n = 0; n < got.size(); ++n)
    if ((want[n] > 0) != (got[n] > 1e-6)) return false;
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  const double lost = 1 / forge.scale("v_scales", plan.c.problem.kv_head(query.h),
                                      1 / largest(plan.c.cache->quant));
  bool any = false;
  for (const Key& key : query.keys) {
    if (key.position < 0) continue;
    const double factor = got[key.source] / want[key.source];
    constexpr double off = 0.1;
    const bool marked = std::abs(factor - 1) > off;
    where_.add(attributes_of(plan, query, held, key.place), marked);
    if (marked) factors_.push_back(factor);
    if (marked) all_lost_ &= std::abs(factor / lost - 1) < 0.05;
    any |= marked;
  }
  return any;
}

std::string StoredFactors::words() const {
  const auto [low, high] = std::minmax_element(factors_.begin(), factors_.end());
  const Where::Condition where = where_.condition();
  return fmt::format("Values come out of the quantised cache multiplied by {:.3g}{}{}: {}.", *low,
                     *high > 1.05 * *low ? fmt::format(" to {:.3g}", *high) : "",
                     all_lost_ ? ", as if their scale were ignored and 1 used in its place" : "",
                     !where.found          ? "for some of the tokens"
                     : where.words.empty() ? "all of them"
                                           : Where::words_after("exactly for keys with", where));
}

}  // namespace attnfuzz::measure
