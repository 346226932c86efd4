#include "fuzz/reach/reached.h"

#include <algorithm>

namespace attnfuzz {

void merge(Reach& reach, const Reach& other) {
  for (const auto& [goal, rejection_reason] : other) {
    const auto [at, is_new] = reach.try_emplace(goal, rejection_reason);
    if (!is_new && rejection_reason.empty()) at->second.clear();
  }
}

uint64_t reached_goals(const Reach& reach) {
  return static_cast<uint64_t>(std::count_if(reach.begin(), reach.end(),
                                             [](const auto& goal) { return goal.second.empty(); }));
}

}  // namespace attnfuzz
