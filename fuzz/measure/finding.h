#pragma once
#include "fuzz/campaign.h"

namespace attnfuzz::measure {

/// Measures the target on the case of a finding of wrong values as it was first
/// found, and fills `measured`. A finding that needs earlier cases, or that is
/// no matter of values, stays as it is.
void measure_finding(Target& target, Finding& finding, double seconds);

}  // namespace attnfuzz::measure
