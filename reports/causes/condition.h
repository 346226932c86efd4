#pragma once
#include <vector>

#include "fuzz/campaign.h"
#include "reports/diagnose.h"

namespace attnfuzz {

/// Adds to the first cause when the failure happens, where that was found; alone it is a place.
void add_condition(const Finding& finding, std::vector<Cause>& causes);

}  // namespace attnfuzz
