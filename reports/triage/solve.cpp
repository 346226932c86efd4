#include "reports/triage/solve.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "reports/triage/solving.h"

namespace attnfuzz::triage {
namespace {

std::vector<Axis> axes_of(const Candidate& reading) {
  std::vector<Axis> axes;
  for (const Slot& slot : reading.slots) axes.push_back(slot.value == 1 ? Axis::none : slot.axis);
  return axes;
}

/// Readings that name all numbers alike are one: their chances are added.
std::vector<Candidate> merged(std::vector<Scored> found) {
  double most = -1e300;
  for (const Scored& each : found) most = std::max(most, each.score);
  double all = 0;
  std::map<std::vector<Axis>, std::pair<double, Candidate>> groups;  // with the best score in it
  for (Scored& each : found) {
    const double chance = std::exp(each.score - most);
    all += chance;
    auto [group, is_new] = groups.try_emplace(axes_of(each.reading), each.score, each.reading);
    if (!is_new && each.score > group->second.first) {
      const double sum = group->second.second.chance;
      group->second = {each.score, each.reading};
      group->second.second.chance = sum;
    }
    group->second.second.chance += chance;
  }
  std::vector<Candidate> readings;
  for (auto& [axes, group] : groups) readings.push_back(std::move(group.second));
  for (Candidate& each : readings) each.chance /= all;
  std::stable_sort(readings.begin(), readings.end(),
                   [](const Candidate& x, const Candidate& y) { return x.chance > y.chance; });
  return readings;
}

}  // namespace

bool agree(const Candidate& one, const Candidate& other) {
  return std::equal(one.slots.begin(), one.slots.end(), other.slots.begin(), other.slots.end(),
                    [](const Slot& x, const Slot& y) {
                      return x.value <= 1 || x.axis == y.axis ||
                             (is_heads(x.axis) && is_heads(y.axis)) ||
                             (x.axis != Axis::none && y.axis != Axis::none &&
                              is_same_kind(x.axis, y.axis) && !is_length(x.axis));
                    });
}

std::vector<Candidate> solve(const std::vector<Mention>& mentions, const Evidence& evidence) {
  std::vector<Scored> found;
  if (std::any_of(mentions.begin(), mentions.end(), is_shape))
    solve_shapes(mentions, evidence, found);
  else
    solve_numbers(mentions, evidence, found);
  return merged(std::move(found));
}

}  // namespace attnfuzz::triage
