#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/own_run.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// Rows of an output (out, lse, a gradient) that hold what other rows of it
/// should: by which rule.
std::vector<Statement> misplaced_rows(const Case& c, const OwnRun& run);

}  // namespace attnfuzz::measure
