#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/measure/plan.h"

namespace attnfuzz::measure {

/// Whole numbers that a query's code may have at hand, with their words: where the query stands,
/// what its row and the rows before it hold, sizes of the case. `step`: of the keys that it is
/// about; −1: none. The same ones in the same order for every query, the plainest first.
using Terms = std::vector<std::pair<std::string_view, int64_t>>;
Terms terms_of(const Plan& plan, const Query& query, int32_t step = -1);

}  // namespace attnfuzz::measure
