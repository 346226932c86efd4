#include "reports/reach_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/text.h"

namespace attnfuzz {

std::string reach_headline(const Reach& reach) {
  if (reach.empty()) return {};
  return fmt::format("{} of {} reached", reached_goals(reach),
                     text::count(static_cast<int64_t>(reach.size()), "goal"));
}

std::vector<std::string> missed_goals(const Reach& reach, size_t most) {
  constexpr size_t most_names = 4;  // of goals with the same reason
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const auto& [goal, why] : reach)
    if (!why.empty()) by_reason[why].push_back(goal);
  std::vector<std::string> lines;
  size_t told = 0, missed = 0;
  for (auto& [why, goals] : by_reason) {
    missed += goals.size();
    if (lines.size() == most) continue;
    const size_t count = goals.size(), named = std::min(count, most_names);
    goals.resize(named);
    std::string names = text::list(goals);
    if (count > named)
      names = fmt::format("{}, and {} more", fmt::join(goals, ", "), count - named);
    lines.push_back(fmt::format("{}: {}", names, why));
    told += count;
  }
  if (told < missed) lines.push_back(fmt::format("and {} more, in summary.json", missed - told));
  return lines;
}

}  // namespace attnfuzz
