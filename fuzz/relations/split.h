#pragma once
#include <optional>
#include <vector>

#include "fuzz/relations/twin.h"

namespace attnfuzz {

/// A step whose tokens can as well come in several, chosen by the case's seed; none if there is
/// none.
std::optional<size_t> step_to_split(const Case& c);

/// The case with that step's tokens in several steps, cut before each of these (ascending).
std::optional<Twin> split(const Case& c, size_t step, const std::vector<int64_t>& cuts);

}  // namespace attnfuzz
