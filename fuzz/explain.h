#pragma once
#include <span>

#include "fuzz/campaign.h"
#include "fuzz/measure/bug.h"

namespace attnfuzz {

/// What experiments on the target tell of a shrunk finding: cases near it are run, the faults that
/// fit it are held against them, the condition under which it happens is learned, and the target is
/// measured on cases that fail and pass. Fills `measured` and `trials`, and where one rule explains
/// a known bug too, the finding takes that one's signature. Each part has a number of runs that
/// ends it first; all of them take no more than so many seconds, but for the run at hand.
void explain_finding(Target& target, Finding& finding, std::span<const measure::Bug> known,
                     double seconds);

}  // namespace attnfuzz
