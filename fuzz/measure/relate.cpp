#include "fuzz/measure/relate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {

void Relation::add(const Row& row, int64_t number, int32_t step) {
  const Query& query = row.at();
  const Case& c = row.of->plan->c;
  const auto at = static_cast<size_t>(query.step);
  const int64_t q_len = c.cached() ? c.steps[at].q_len : c.problem.q_len;
  const int64_t first = c.cached() ? c.steps[at].first_query(static_cast<size_t>(query.b)) : 0;
  const int64_t past = query.position - (query.i - first);
  const int64_t of_keys = step < 0 || !c.cached() ? 0 : c.steps[static_cast<size_t>(step)].q_len;
  numbers_.push_back(number);
  terms_.push_back(
      {{"the step's q_len", q_len},
       {"the tokens in the row before the step", past},
       {"its place in the step", query.i - first},
       {"its position", query.position},
       {"the padding before it", first},
       {"batch row × the step's q_len", query.b * q_len},
       {"batch row × (the step's q_len − that of the keys' step)", query.b * (q_len - of_keys)},
       {"batch row × kv_len", query.b * c.problem.kv_len},
       {"the batch row", query.b},
       {"the query head", query.h},
       {"kv_len − q_len", c.problem.kv_len - c.problem.q_len}});
  std::string place = describe_query(*row.of->plan, query);
  if (step >= 0) place += fmt::format(", keys of step {}", step);
  places_.push_back(std::move(place));
}

std::string Relation::words() const {
  const std::set<int64_t> all(numbers_.begin(), numbers_.end());
  if (all.size() == 1) return fmt::format("{} place{}", *all.begin(), *all.begin() == 1 ? "" : "s");
  for (const int64_t sign : {1, -1})
    for (size_t t = 0; t < terms_.front().size(); ++t) {
      bool equal = true;
      for (size_t n = 0; n < numbers_.size(); ++n)
        equal &= numbers_[n] == sign * terms_[n][t].second;
      if (equal)
        return fmt::format("{}{} ({} to {} places)", sign < 0 ? "−" : "", terms_.front()[t].first,
                           *all.begin(), *all.rbegin());
    }
  std::string words;
  constexpr size_t most = 4;
  std::set<int64_t> told;
  for (size_t n = 0; n < numbers_.size() && told.size() < most; ++n)
    if (told.insert(numbers_[n]).second)
      words += fmt::format("{}{} places ({})", words.empty() ? "" : ", ", numbers_[n], places_[n]);
  return words;
}

}  // namespace attnfuzz::measure
