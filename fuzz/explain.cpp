#include "fuzz/explain.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "fuzz/clock.h"
#include "fuzz/measure/finding.h"
#include "fuzz/when/when.h"

namespace attnfuzz {
namespace {

/// Parts of the seconds that cases near the finding and its condition may take, and all up to where
/// the target is measured; the rest is for known bugs.
constexpr double share_of_near = 0.25, share_of_condition = 0.3, share_of_measuring = 0.85;

}  // namespace

void explain_finding(Target& target, Finding& finding, std::span<const measure::Bug> known,
                     double seconds) {
  const Clock::time_point start = Clock::now();
  const auto left = [&](double share) {
    return std::max(0.0, share * seconds - seconds_since(start));
  };
  measure::FollowUps near;
  if (measure::can_be_measured(finding))
    near = measure::near_cases(target, finding, left(share_of_near));
  if (finding.learned.alone && finding.before.empty()) {
    std::vector<Case> failing =
        when::measure_condition(target, finding, share_of_condition * seconds);
    near.failing.insert(near.failing.end(), std::make_move_iterator(failing.begin()),
                        std::make_move_iterator(failing.end()));
  }
  measure::measure_finding(target, finding, near, left(share_of_measuring));
  const std::string same = measure::same_rule(target, finding, known, left(1));
  if (!same.empty()) finding.signature = same;
}

}  // namespace attnfuzz
