#pragma once
#include "fuzz/draw.h"
#include "oracle/case.h"
#include "targets/capabilities.h"

namespace attnfuzz {

/// A valid case inside the capabilities (why_not() is empty). Sizes are biased to the edges (0, 1,
/// 2, tile ± 1, odd, chunk ± 1 …) and distinct from each other where the capabilities let them, so
/// that a swapped axis shows and each number in an error text names one axis.
Case generate(const Capabilities& capabilities, Draw& draw);

}  // namespace attnfuzz
