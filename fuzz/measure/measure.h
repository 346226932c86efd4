#pragma once
#include <span>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// What a target was seen to compute, by experiments on it.
struct Measurement {
  std::vector<Statement> statements;  ///< what differs from what the cases say; empty: nothing seen
  int64_t cases = 0, runs = 0;        ///< that were measured; what it cost
  double seconds = 0;
};

/// Measures a target on these cases, which it claims, as far as the budget
/// goes; the first matters most. Never throws for what a target does.
Measurement measure(Target& target, std::span<const Case> cases, Budget& budget);

}  // namespace attnfuzz::measure
