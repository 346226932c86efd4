#pragma once
#include "oracle/inputs.h"
#include "targets/zoo/mutation.h"
#include "targets/zoo/zoo.h"

namespace attnfuzz::zoo {

/// Whether the kernel has rope.
bool has_rope(Kernel kernel);
/// The inputs of a case without a cache with q and k turned, as the mutant turns them.
Inputs rotated(const Mutation& m, Case c, const Inputs& inputs);

}  // namespace attnfuzz::zoo
