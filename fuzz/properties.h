#pragma once
#include <string>

#include "oracle/answer.h"
#include "targets/target.h"

namespace attnfuzz {

/// Which of the properties that the target declares does not hold for a case that it gets right, in
/// words; empty if all do. `right` and `outcome` are the case's answer and what the target gave.
std::string broken_property(Target& target, const Case& c, const Inputs& inputs,
                            const Answer& right, const Outcome& outcome);

}  // namespace attnfuzz
