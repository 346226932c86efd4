#pragma once
#include <optional>

#include "fuzz/measure/experiment.h"
#include "oracle/answer.h"

namespace attnfuzz::measure {

/// What a target gives on a case's own data, beside what is right.
struct OwnRun {
  StepOutput got;
  Answer right;
};

/// One run of a case without steps; none where the target gives no output.
std::optional<OwnRun> run_on_own_data(Target& target, const Case& c, Budget& budget);

}  // namespace attnfuzz::measure
