#pragma once
#include <string>

#include "fuzz/campaign.h"

namespace attnfuzz::measure {

/// What tells a finding's bug from others of the same target, as far as trials and measurements say
/// it, whatever options and sizes show it: the fault that explains all that fails, or the rule that
/// was measured. Empty where neither was found: such findings are told apart by their signatures.
std::string bug_key(const Finding& finding);

}  // namespace attnfuzz::measure
