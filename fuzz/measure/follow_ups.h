#pragma once
#include <vector>

#include "fuzz/campaign.h"
#include "fuzz/measure/experiment.h"

namespace attnfuzz::measure {

/// Cases near a finding's, as its target judged them.
struct FollowUps {
  std::vector<Case> failing, passing;  ///< with wrong values; the case as first found comes first
  std::vector<Trial> trials;           ///< of the faults that fit the finding
};

/// Runs and judges up to `most` cases near the one first found and the shrunk one, inside what the
/// target claims, within so many seconds, and tries the faults that fit the finding on each. Where
/// several stand up to all of these, up to as many more follow, on which the faults differ.
FollowUps follow_up(Target& target, const Finding& finding, int64_t most, double seconds);

}  // namespace attnfuzz::measure
