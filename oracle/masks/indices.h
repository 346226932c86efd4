#pragma once
#include <vector>

#include "oracle/mask.h"

namespace attnfuzz {

/// The numbers of the keys that the rule "indices" selects for the query, `count` of them in the
/// order of the list; −1: none in that place.
std::vector<int64_t> selected_keys(const RuleUse& indices, const RowContext& query);

}  // namespace attnfuzz
