#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// Rows of an output (out, lse, a gradient) that hold what other rows of it
/// should: by which rule. One run, of the case on its own data.
std::vector<Statement> misplaced_rows(Target& target, const Case& c, Budget& budget);

}  // namespace attnfuzz::measure
