#pragma once
#include <vector>

#include "fuzz/measure/statement.h"
#include "targets/target.h"

namespace attnfuzz::measure {

/// Of a case whose second run gives other bits than its first: whether the first run in each new
/// process gives the same ones, so that what ran before makes the difference, and not chance.
/// Nothing where the target has no process of its own.
std::vector<Statement> repeated_calls(Target& target, const Case& c);

/// Of a case with wrong values: whether equal calls, one after another, give values that differ by
/// more than the error bound. Then no experiment says anything but that.
std::vector<Statement> changing_values(Target& target, const Case& c);

}  // namespace attnfuzz::measure
