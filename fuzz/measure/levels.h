#pragma once
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// Whether the softmax holds where all scores of a query are very low or very
/// high: the weights must add up to one at any level. Levels go as far as the
/// case's own data may go.
std::vector<Statement> wrong_levels(Target& target, const Case& c, Budget& budget);

}  // namespace attnfuzz::measure
