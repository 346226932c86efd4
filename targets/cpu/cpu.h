#pragma once
#include <memory>

#include "targets/target.h"

namespace attnfuzz {

/// Plain loops over whole rows: the simplest thing that is right.
std::unique_ptr<Target> open_cpu_naive();

}  // namespace attnfuzz
