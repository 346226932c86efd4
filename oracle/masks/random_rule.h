#pragma once
#include <array>

#include "oracle/element_row.h"
#include "oracle/masks/rule.h"

namespace attnfuzz::masks {

/// Calls use(j, element of the role's tensor at (b, h, query, position of key j)) for j < count.
template <class Use>
void each_element(const RowContext& context, Role role, int64_t b, int64_t h, size_t count,
                  Use use) {
  std::array<double, 64> values;
  for (size_t begin = 0; begin < count;) {
    const int64_t first = context.key_pos[begin];
    size_t used = 1;  // keys that stand one behind the other
    while (begin + used < count && used < values.size() &&
           context.key_pos[begin + used] == first + static_cast<int64_t>(used))
      ++used;
    element_row(context.data, role, context.step, b, h, context.i, first, context.problem.kv_len,
                context.problem.dtype, {values.data(), used});
    for (size_t n = 0; n < used; ++n) use(begin + n, values[n]);
    begin += used;
  }
}

}  // namespace attnfuzz::masks
