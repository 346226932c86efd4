#include "fuzz/measure/tokens/ends.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnfuzz::measure {

void EndFacts::add(const Plan& plan, const Query& query, std::span<const size_t> missing) {
  std::vector<size_t> shown;
  for (const Key& key : query.keys)
    if (key.position >= 0) shown.push_back(key.place);
  std::sort(shown.begin(), shown.end());
  if (shown.empty() || missing.size() == shown.size()) return;
  all_oldest_ &= std::equal(missing.begin(), missing.end(), shown.begin());
  all_newest_ &= std::equal(missing.rbegin(), missing.rend(), shown.rbegin());
  missing_.add(plan, query, static_cast<int64_t>(missing.size()));
  if (!missing.empty()) kept_.add(plan, query, static_cast<int64_t>(shown.size() - missing.size()));
}

std::string EndFacts::words() const {
  if (all_oldest_ == all_newest_ || kept_.empty()) return "";
  const std::string_view lost = all_oldest_ ? "oldest" : "newest",
                         left = all_oldest_ ? "newest" : "oldest";
  if (missing_.varies() && missing_.is_known())
    return fmt::format("The {} keys that the case shows are not seen by these queries: {}.", lost,
                       missing_.words("key"));
  if (kept_.is_known())
    return fmt::format("Of the keys that the case shows these queries see the {} alone: {}.", left,
                       kept_.words("key"));
  return "";
}

}  // namespace attnfuzz::measure
