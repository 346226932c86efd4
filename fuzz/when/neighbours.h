#pragma once
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz::when {

/// Cases that differ from a finding's shrunk case in one thing: its reductions, and each of its
/// numbers moved. No more than so many.
std::vector<Case> neighbours(const Case& shrunk, size_t most);

}  // namespace attnfuzz::when
