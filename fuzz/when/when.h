#pragma once
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz::when {

/// Measures when a finding's failure happens: the simplest condition over cases near it and others,
/// which predicted the last of them before they were run. "It happens exactly in queries with:
/// q_len > window.left (over 31 failing and 58 passing cases)." Where there is one, `measured` has
/// it, as "when" (exactly) or "mostly" (only then, but not always), and faults that explain all
/// that failed so far are held against more of the failing cases. Of wrong values, shapes and
/// errors alone. Takes so many seconds at most. Returns the cases that were seen to fail.
std::vector<Case> measure_condition(Target& target, Finding& finding, double seconds);

}  // namespace attnfuzz::when
