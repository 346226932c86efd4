#include "fuzz/measure/tokens/silent.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {

void SilentFacts::add(const Plan& plan, const Query& query, bool silent) {
  count_ += silent ? 1 : 0;
  where_.add(attributes_of(plan, query), silent);
  (silent ? heads_.back().none : heads_.back().some).insert(query.h);
}

std::string SilentFacts::words() const {
  const bool by_head = std::all_of(heads_.begin(), heads_.end(), [](const HeadsSeen& each) {
    return std::none_of(each.none.begin(), each.none.end(),
                        [&](int64_t h) { return each.some.count(h) != 0; });
  });
  const auto one = std::max_element(
      heads_.begin(), heads_.end(),
      [](const HeadsSeen& a, const HeadsSeen& b) { return a.none.size() < b.none.size(); });
  if (by_head && !one->some.empty()) {
    const std::string law = heads_written(heads_);
    return fmt::format(
        "The outputs of query heads {} (of {}) are zeros, whatever the values are: they are never "
        "written, or nothing is computed for these heads{}.",
        ranges({one->none.begin(), one->none.end()}), one->num_heads,
        law.empty() ? "" : ": of the query heads, " + law + " are written");
  }
  return fmt::format(
      "The outputs of {} queries are zeros, whatever the values are: they are not written, or no "
      "key is taken{}.",
      count_, where_.words_after("; exactly for queries with"));
}

}  // namespace attnfuzz::measure
