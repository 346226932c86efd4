#pragma once
#include "fuzz/campaign.h"
#include "fuzz/measure/follow_ups.h"

namespace attnfuzz::measure {

/// Whether experiments may tell something of a finding: wrong values of a case that fails alone.
bool can_be_measured(const Finding& finding);

/// Cases near a finding's, as the target does on them; fills `trials`.
FollowUps near_cases(Target& target, Finding& finding, double seconds);

/// Measures the target on the case of a finding of wrong values as it was first found and on some
/// of those near it, and puts what it was seen to do before all else in `measured`. A finding that
/// cannot be measured stays as it is.
void measure_finding(Target& target, Finding& finding, const FollowUps& near, double seconds);

}  // namespace attnfuzz::measure
