#pragma once
#include "oracle/inputs.h"
#include "targets/zoo/mutation.h"

namespace attnfuzz::zoo {

/// The inputs as the mutant reads them from where they lie.
Inputs as_read(const Mutation& m, const Case& c, const Inputs& inputs);

}  // namespace attnfuzz::zoo
