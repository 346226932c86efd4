#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace attnfuzz {

/// Cuts lengths so that they end where a tensor of `sum` tokens does; what is left of it behind
/// them.
inline int64_t cut_lens(std::vector<int64_t>& lens, int64_t sum) {
  for (int64_t& len : lens) {
    len = std::clamp<int64_t>(len, 0, sum);
    sum -= len;
  }
  return sum;
}

}  // namespace attnfuzz
