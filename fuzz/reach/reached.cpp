#include "fuzz/reach/reached.h"

#include <algorithm>

namespace attnfuzz {

void merge(Reach& reach, const Reach& other) {
  for (const auto& [goal, why_not] : other) {
    const auto [at, is_new] = reach.try_emplace(goal, why_not);
    if (!is_new && why_not.empty()) at->second.clear();
  }
}

uint64_t reached_goals(const Reach& reach) {
  return static_cast<uint64_t>(std::count_if(reach.begin(), reach.end(),
                                             [](const auto& goal) { return goal.second.empty(); }));
}

}  // namespace attnfuzz
