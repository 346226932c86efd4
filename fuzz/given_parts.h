#pragma once
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// An axis of a problem, and so of the given tensors that have it.
enum class CaseAxis : uint8_t { batch, heads, kv_heads, queries, keys, dim, dim_v };

/// Given tensors of which each that has the axis keeps these places of it alone, in this order (not
/// those beyond its size). Data without given tensors stay as they are. Memory keys are no keys.
Data with_places(const Problem& problem, Data data, CaseAxis axis,
                 const std::vector<int64_t>& kept);

}  // namespace attnfuzz
