#include "fuzz/measure/tokens/sums.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {

void SumFacts::add(const Plan& plan, const Forge& forge, const Query& query,
                   const Reading& reading) {
  const auto [low, high] =
      std::minmax_element(reading.uses.begin(), reading.uses.end(),
                          [](const Use& a, const Use& b) { return a.weight < b.weight; });
  if (low->weight <= 0 || high->weight > 1.01 * low->weight) return;
  const auto keys = static_cast<double>(reading.uses.size());
  Sum sum{1 / low->weight - keys, keys * low->weight, query.h, {}};
  if (plan.c.problem.sinks)
    for (int64_t h = 0; h < plan.c.problem.num_heads; ++h)
      sum.sinks.push_back(std::exp(forge.sink(h)));
  sums_.push_back(std::move(sum));
}

std::string SumFacts::words() const {
  const auto all = [&](const auto& holds) {
    return std::all_of(sums_.begin(), sums_.end(), holds);
  };
  const auto near = [](double a, double b) { return std::abs(a - b) <= 0.02 * (1 + std::abs(b)); };
  const bool sinks = !sums_.front().sinks.empty();
  if (sinks && all([&](const Sum& s) { return near(s.seen, 0); }))
    return "The softmax's denominator leaves out the sink: the weights of the keys add up to one, "
           "the sink takes no part.";
  if (sinks && all([&](const Sum& s) { return near(s.seen, s.sinks[0]); }))
    return "All query heads have the sink of head 0.";
  if (sinks &&
      all([&](const Sum& s) { return near(s.seen, 2 * s.sinks[static_cast<size_t>(s.head)]); }))
    return "The sink is counted twice.";
  if (sinks && all([&](const Sum& s) {
        return std::any_of(s.sinks.begin(), s.sinks.end(),
                           [&](double x) { return near(s.seen, x); });
      }))
    return "Query heads have the sink of another head.";
  return fmt::format("{}{:.3g} (the first query that is wrong).", untold_sum, sums_.front().total);
}

}  // namespace attnfuzz::measure
