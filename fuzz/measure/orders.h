#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace attnfuzz::measure {

/// Batch row, head, query or key.
using Index = std::array<int64_t, 3>;

/// A row's place where it is counted in one order of the axes and laid out in another.
Index reread(const Index& n, const Index& sizes, const Index& from, const Index& to);

/// "[batch, q_len, num_heads]"; `keys`: of KV heads and keys.
std::string order_words(const Index& order, bool keys);

}  // namespace attnfuzz::measure
