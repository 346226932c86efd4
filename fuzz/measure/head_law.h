#pragma once
#include <cstdint>
#include <set>
#include <string>

namespace attnfuzz::measure {

/// Which KV head a query head was seen to use.
struct HeadUse {
  int64_t head, num_heads, num_kv_heads;
  int64_t right, used;  ///< KV heads
  auto operator<=>(const HeadUse&) const = default;
};

/// "query head h uses KV head h / num_kv_heads, where h / (num_heads / num_kv_heads) is right".
/// Empty where no law gives all that was used, or all is right.
std::string head_law(const std::set<HeadUse>& uses);

}  // namespace attnfuzz::measure
