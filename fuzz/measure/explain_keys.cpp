#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

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

}  // namespace

/// Values are the right ones, and some of them are weighed by another token's
/// key.
std::optional<std::string> explain_keys(const std::vector<Row>& wrong) {
  std::map<std::string, size_t> pairs;
  size_t told = 0;
  for (const Row& row : wrong) {
    const double factor = common_factor(row);
    const Plan& plan = *row.of->plan;
    size_t agree = 0;
    for (size_t n = 0; n < row.keys.size(); ++n) {
      const Key& key = row.at().keys[row.keys[n]];
      const double off = row.log_w[n] - row.want[n] - factor;
      if (std::abs(off) <= row.tolerance()) {
        ++agree;
        continue;
      }
      if (row.problem().softcap > 0) return {};
      const double want = row.of->vectors->score(row.problem(), row.query, row.at().position,
                                                 key.source, key.position) +
                          off;
      std::optional<size_t> found;
      for (size_t source = 0; source < plan.sources.size() && !found; ++source) {
        const double score = row.of->vectors->score(row.problem(), row.query, row.at().position,
                                                    source, key.position);
        if (std::abs(score - want) <= row.tolerance()) found = source;
      }
      if (!found && std::abs(want) <= row.tolerance()) {
        pairs["a key of zeros"] += 1;
        ++told;
        continue;
      }
      if (!found) return {};
      const Place from = place_of(plan, row.at(), key.source),
                  to = place_of(plan, row.at(), *found);
      pairs[fmt::format("the value of row {} key {} with the key of row {} key {}{}", from.row,
                        from.position, to.row, to.position,
                        to.head == from.head ? "" : fmt::format(" of KV head {}", to.head))] += 1;
      ++told;
    }
    if (agree < 2) return {};
  }
  if (told == 0) return {};
  std::vector<std::string> some;
  for (const auto& [words, count] : pairs)
    if (some.size() < 4) some.push_back(words);
  return fmt::format("Keys and values come from different tokens: {}{}.", fmt::join(some, "; "),
                     pairs.size() > some.size() ? " …" : "");
}

}  // namespace attnfuzz::measure
