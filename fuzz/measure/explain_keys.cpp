#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "fuzz/measure/head_law.h"
#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

/// Most of a row's weights agree, up to one factor: its logarithm.
double common_factor(const Row& row) {
  double best = 0;
  size_t most = 0;
  for (size_t n = 0; n < row.keys.size(); ++n) {
    const double off = row.log_w[n] - row.want[n];
    size_t agree = 0;
    for (size_t m = 0; m < row.keys.size(); ++m)
      agree += std::abs(row.log_w[m] - row.want[m] - off) <= row.tolerance() ? 1 : 0;
    if (agree > most) {
      most = agree;
      best = off;
    }
  }
  return best;
}

/// A value and the key that weighs it.
struct Pair {
  Place value, key;
  bool zero = false;  ///< the key is read as zeros
  HeadUse heads = {};
};

/// The keys that weigh a row's values, where they are all found and `factor` is what all weights
/// have in common. None where some are not found.
std::optional<std::vector<Pair>> pairs_of(const Row& row, double factor) {
  std::vector<Pair> pairs;
  const Plan& plan = *row.of->plan;
  const auto score = [&](size_t source, const Key& key) {
    return row.of->vectors->score(row.problem(), row.query, row.at().position, source,
                                  key.position);
  };
  const auto heads_of = [&](size_t source) {
    const Problem& p = row.problem();
    return HeadUse{row.at().h, p.num_heads, p.num_kv_heads, p.kv_head(row.at().h),
                   plan.sources[source].head};
  };
  for (size_t n = 0; n < row.keys.size(); ++n) {
    const Key& key = row.at().keys[row.keys[n]];
    const double off = row.log_w[n] - row.want[n] - factor;
    const Place value = place_of(plan, row.at(), key.source);
    if (std::abs(off) <= row.tolerance()) continue;
    const double seen = score(key.source, key) + off;
    size_t found = 0;
    while (found < plan.sources.size() && std::abs(score(found, key) - seen) > row.tolerance())
      ++found;
    if (found < plan.sources.size())
      pairs.push_back({value, place_of(plan, row.at(), found), false, heads_of(found)});
    else if (std::abs(seen) <= row.tolerance())
      pairs.push_back({value, value, true, heads_of(key.source)});
    else
      return {};
  }
  return pairs;
}

std::string words_of(const Pair& pair) {
  const auto place = [](const Place& at) {
    return fmt::format("row {} KV head {} token {}", at.row, at.head, at.position);
  };
  return fmt::format("the value of {} with {}", place(pair.value),
                     pair.zero ? "a key of zeros" : "the key of " + place(pair.key));
}

}  // namespace

/// Values are the right ones, and some of them are weighed by another token's key. A backward pass
/// takes the sum from the forward pass: there the factor is 1.
std::optional<std::string> explain_keys(const std::vector<Row>& wrong, const std::vector<Row>&) {
  std::vector<Pair> all;
  for (const Row& row : wrong) {
    if (row.problem().softcap > 0) return {};
    std::optional<std::vector<Pair>> pairs = pairs_of(row, common_factor(row));
    if (pairs && pairs->size() + 2 > row.keys.size()) pairs.reset();
    if (!pairs) pairs = pairs_of(row, 0);
    if (!pairs) return {};
    all.insert(all.end(), pairs->begin(), pairs->end());
  }
  if (all.size() < 3) return {};
  const auto holds = [&](const auto& rule) { return std::all_of(all.begin(), all.end(), rule); };
  std::string which = "other tokens";
  if (holds([](const Pair& p) { return p.zero; }))
    which = "slots of zeros";
  else if (holds(
               [](const Pair& p) { return p.key.row == 0 && p.key.position == p.value.position; }))
    which = "the tokens at the same place of row 0";
  else if (holds([](const Pair& p) { return p.key.position == p.value.position; }))
    which = "tokens at the same place of another row or KV head";
  else if (holds([&](const Pair& p) {
             return p.key.position - p.value.position ==
                    all.front().key.position - all.front().value.position;
           }))
    which = fmt::format("the tokens {} places on",
                        all.front().key.position - all.front().value.position);
  std::set<HeadUse> heads;
  for (const Pair& pair : all) heads.insert(pair.heads);
  if (const std::string law = head_law(heads); !law.empty()) which += " (" + law + ")";
  std::vector<std::string> some;
  for (const Pair& pair : all)
    if (some.size() < 3) some.push_back(words_of(pair));
  return fmt::format("Values are weighed by the keys of {}: {}{}.", which, fmt::join(some, "; "),
                     all.size() > some.size() ? " …" : "");
}

}  // namespace attnfuzz::measure
