#pragma once
#include <span>

#include "oracle/inputs.h"

namespace attnfuzz {

/// element() for d = first, first + 1 …, in a fraction of the time.
void element_row(const Data& data, Role role, int step, int64_t b, int64_t h, int64_t s,
                 int64_t first, int64_t dim, DType dtype, std::span<double> row);

}  // namespace attnfuzz
