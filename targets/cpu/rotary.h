#pragma once
#include <algorithm>
#include <type_traits>
#include <vector>

#include "oracle/inputs.h"

namespace attnfuzz {

/// Turns queries and keys by their positions (see Rope), with sines and cosines from a table.
class Rotary {
 public:
  explicit Rotary(const Problem& problem);
  bool on() const { return rope_ != Rope::none; }

  /// One token's [head_dim] elements, turned. May be done in place.
  template <class T>
  void turn(const T* from, int64_t position, T* to) {
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const Turn* turns = turns_at(position);
    if (from != to) {
      std::copy_n(from, begin_, to);
      std::copy_n(from + begin_ + 2 * half_, dim_ - begin_ - 2 * half_, to + begin_ + 2 * half_);
    }
    for (size_t n = 0; n < half_; ++n) {
      const size_t a = begin_ + (rope_ == Rope::half ? n : 2 * n),
                   b = rope_ == Rope::half ? a + half_ : a + 1;
      const auto x = static_cast<Wide>(from[a]), y = static_cast<Wide>(from[b]);
      const auto cos = static_cast<Wide>(turns[n].cos), sin = static_cast<Wide>(turns[n].sin);
      to[a] = static_cast<T>(x * cos - y * sin);
      to[b] = static_cast<T>(y * cos + x * sin);
    }
  }

 private:
  struct Turn {
    double cos, sin;
  };
  const Turn* turns_at(int64_t position);

  Rope rope_;
  std::vector<double> frequencies_;  ///< [half_]
  double magnitude_;
  size_t dim_, begin_;       ///< elements, and the first that is turned
  size_t half_;              ///< pairs that are turned
  std::vector<Turn> table_;  ///< [positions, half_] from position 0 on
  std::vector<Turn> other_;  ///< [half_] of the last position asked for that the table lacks
};

/// The inputs of a case without a cache, with q and k turned.
Inputs turned_inputs(const Case& c, const Inputs& inputs);

}  // namespace attnfuzz
