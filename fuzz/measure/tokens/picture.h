#pragma once
#include <string>

#include "fuzz/measure/weights.h"

namespace attnfuzz::measure {

/// The keys that a query's row holds, for all queries of its step and head: as declared, and as
/// measured.
std::string picture_of(const Plan& plan, const Query& query, const Weights& got);

}  // namespace attnfuzz::measure
