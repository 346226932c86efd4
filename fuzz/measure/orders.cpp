#include "fuzz/measure/orders.h"

#include <fmt/format.h>

#include <string_view>

namespace attnfuzz::measure {

Index reread(const Index& n, const Index& sizes, const Index& from, const Index& to) {
  int64_t flat = 0;
  for (const int64_t axis : from)
    flat = flat * sizes[static_cast<size_t>(axis)] + n[static_cast<size_t>(axis)];
  Index other{};
  for (size_t k = 3; k-- > 0;) {
    const auto axis = static_cast<size_t>(to[k]);
    other[axis] = flat % sizes[axis];
    flat /= sizes[axis];
  }
  return other;
}

std::string order_words(const Index& order, bool keys) {
  const std::array<std::string_view, 3> names{"batch", keys ? "num_kv_heads" : "num_heads",
                                              keys ? "kv_len" : "q_len"};
  return fmt::format("[{}, {}, {}]", names[static_cast<size_t>(order[0])],
                     names[static_cast<size_t>(order[1])], names[static_cast<size_t>(order[2])]);
}

}  // namespace attnfuzz::measure
