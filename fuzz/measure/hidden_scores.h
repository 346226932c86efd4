#pragma once
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// Whether keys that the case hides have a finite score in the place of −infinity, or a finite
/// number added to theirs: then they take the weight where all other scores of a query are lower
/// still. Scores go as far as `reach`.
std::vector<Statement> hidden_scores(Target& target, const Case& c, double reach, Budget& budget);

}  // namespace attnfuzz::measure
