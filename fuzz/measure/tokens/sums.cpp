#include "fuzz/measure/tokens/sums.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {
namespace {

using Sum = SumFacts::Sum;

/// What each query's sink may add to the sum in the place of exp(sink).
struct Law {
  std::string_view words;
  double (*added)(const Sum& sum);
};
constexpr Law laws[] = {
    {"The softmax's denominator leaves out the sink: the weights of the keys add up to one, the "
     "sink takes no part.",
     [](const Sum&) { return 0.0; }},
    {"All query heads have the sink of head 0.", [](const Sum& s) { return std::exp(s.sinks[0]); }},
    {"The sink is counted twice.", [](const Sum& s) { return 2 * std::exp(s.own()); }},
    {"The sink is taken as 0 whatever it is: it adds exp(0) to the softmax's sum.",
     [](const Sum&) { return 1.0; }},
    {"The sink adds 2^sink to the softmax's sum, where exp(sink) is right.",
     [](const Sum& s) { return std::exp2(s.own()); }},
    {"The sink is multiplied by the scale: it adds exp(scale · sink) to the softmax's sum.",
     [](const Sum& s) { return std::exp(s.scale * s.own()); }},
    {"The softcap is applied to the sink too.",
     [](const Sum& s) {
       return s.softcap > 0 ? std::exp(s.softcap * std::tanh(s.own() / s.softcap)) : -1;
     }},
    {"The sink has the opposite sign: it adds exp(−sink) to the softmax's sum.",
     [](const Sum& s) { return std::exp(-s.own()); }},
    {"Each query head has the sink whose index is that of its KV head.",
     [](const Sum& s) { return std::exp(s.sinks[static_cast<size_t>(s.head / s.group)]); }},
    {"Each query head has the sink whose index is its place within its KV head's group.",
     [](const Sum& s) { return std::exp(s.sinks[static_cast<size_t>(s.head % s.group)]); }},
    {"Query heads have the sinks in the opposite order.",
     [](const Sum& s) {
       return std::exp(s.sinks[s.sinks.size() - 1 - static_cast<size_t>(s.head)]);
     }},
    {"The sink is counted once for each query head of the KV head's group.",
     [](const Sum& s) { return static_cast<double>(s.group) * std::exp(s.own()); }},
};

bool adds(const Sum& sum, double expected) {
  return std::abs(sum.added - expected) <= 0.02 * (1 + std::abs(expected)) + sum.error;
}

}  // namespace

bool SumFacts::add(const Plan& plan, const Forge& forge, const Query& query, const Reading& reading,
                   double error) {
  if (query.keys.empty() || reading.uses.size() != query.keys.size()) return false;
  const auto [low, high] =
      std::minmax_element(reading.uses.begin(), reading.uses.end(),
                          [](const Use& a, const Use& b) { return a.weight < b.weight; });
  if (low->weight <= 0 || high->weight > 1.01 * low->weight) return false;
  std::set<size_t> declared;
  for (const Key& key : query.keys) declared.insert(key.source);
  for (const Use& use : reading.uses)
    if (declared.erase(use.source) == 0) return false;
  const Problem& p = plan.c.problem;
  const auto index = [&](const Key& key) {  // memory KV come before the row's keys
    return key.position < 0 ? plan.sources[key.source].i
                            : p.memory_kv + static_cast<int64_t>(key.place);
  };
  const auto [first, last] =
      std::minmax_element(query.keys.begin(), query.keys.end(),
                          [&](const Key& a, const Key& b) { return index(a) < index(b); });
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  const auto keys = static_cast<double>(reading.uses.size());
  Sum sum{1 / low->weight - keys,
          4 * error / low->weight,
          keys * low->weight,
          p.scale_value(),
          p.softcap,
          query.h,
          std::max<int64_t>(1, p.num_heads / p.num_kv_heads),
          index(*first),
          index(*last),
          p.memory_kv + static_cast<int64_t>(held.tokens.size()),
          p.memory_kv,
          {}};
  if (p.sinks)
    for (int64_t h = 0; h < p.num_heads; ++h) sum.sinks.push_back(forge.sink(h));
  // Keys of zeros that are counted add a whole number.
  const double more = sum.added - (p.sinks ? std::exp(sum.own()) : 0);
  const bool is_whole =
      low->times == 1 && sum.error < 0.1 && std::abs(more - std::round(more)) <= 1e-3 + sum.error;
  if (reading.counted && reading.zeros > 0 && is_whole) return false;
  sums_.push_back(std::move(sum));
  return p.sinks;
}

/// Where the sink enters the sum with every tile or part of the keys.
std::string SumFacts::tile_words() const {
  const auto all = [&](const auto& times) {
    return std::all_of(sums_.begin(), sums_.end(), [&](const Sum& s) {
      return adds(s, static_cast<double>(times(s)) * std::exp(s.own()));
    });
  };
  for (const int64_t tile : {4, 8, 16, 32, 64, 128, 256}) {
    const std::string each = fmt::format("The sink is counted once for each tile of {} keys", tile);
    if (all([=](const Sum& s) { return s.last / tile - s.first / tile + 1; }))
      return each + " that the query sees.";
    const auto holds = [=](int64_t n) { return (n + tile - 1) / tile; };
    if (all([=](const Sum& s) { return holds(s.held); }) ||
        all([=](const Sum& s) { return holds(s.held - s.memory); }))
      return each + " that the row holds.";
    if (all([=](const Sum& s) { return s.last / tile + 1; }))
      return each + " up to the last that the query sees.";
  }
  for (const int64_t parts : {3, 4, 8, 16})
    if (all([=](const Sum& s) { return std::min(parts, s.held); }))
      return fmt::format("The sink is counted {} times: once for each part of the keys.", parts);
  return "";
}

std::string SumFacts::words() const {
  if (!sums_.front().sinks.empty()) {
    const auto all = [&](const auto& holds) {
      return std::all_of(sums_.begin(), sums_.end(), holds);
    };
    for (const Law& law : laws)
      if (all([&](const Sum& s) { return adds(s, law.added(s)); })) return std::string(law.words);
    if (std::string of_tiles = tile_words(); !of_tiles.empty()) return of_tiles;
    if (all([&](const Sum& s) {
          return std::any_of(s.sinks.begin(), s.sinks.end(),
                             [&](double x) { return adds(s, std::exp(x)); });
        }))
      return "Query heads have the sink of another head.";
  }
  return fmt::format("{}{:.3g} (the first query that is wrong).", untold_sum, sums_.front().total);
}

}  // namespace attnfuzz::measure
