#pragma once
#include <cstdint>
#include <set>
#include <span>
#include <string>

namespace attnfuzz::measure {

/// Of which query heads a case's outputs are zeros, and of which they are not.
struct HeadsSeen {
  int64_t num_heads = 0, num_kv_heads = 0;
  std::set<int64_t> none, some;
};

/// The law that says of all cases which query heads are written: "heads (x mod n)·n + x / n for x <
/// num_heads, where n is num_heads / num_kv_heads". Empty where there is none, or where cases of
/// one size alone tell it.
std::string heads_written(std::span<const HeadsSeen> cases);

}  // namespace attnfuzz::measure
