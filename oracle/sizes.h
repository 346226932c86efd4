// Sizes of numbers, for bounds alone: never too small, and hardly too large. Where the data allow
// it they are kept and multiplied in single precision, which costs half as much.
#pragma once
#include <cstdint>
#include <vector>

#include "oracle/tensor.h"

namespace attnfuzz {

/// x ≥ 0 as a T, not rounded down. In float a number other than 0 is at least 2^-70, so that
/// products of two sizes don't vanish: a sum of products is 0 only where each is.
template <class T>
T as_size(double x);
template <>
inline double as_size<double>(double x) {
  return x;
}
template <>
inline float as_size<float>(double x) {
  constexpr float up = 1 + 0x1p-22F, least = 0x1p-70F;
  return x == 0 ? 0 : static_cast<float>(x) * up + least;
}

/// What a sum of `terms` products of sizes can be, where `sum` was worked out in T.
template <class T>
class SumOfSizes {
 public:
  explicit SumOfSizes(int64_t terms) {
    if constexpr (sizeof(T) == sizeof(float)) {
      up_ = 1 + static_cast<double>(terms + 2) * 0x1p-23;
      lost_ = static_cast<double>(terms) * 0x1p-148;
    }
  }
  double operator()(T sum) const { return sum == 0 ? 0 : static_cast<double>(sum) * up_ + lost_; }

 private:
  double up_ = 1, lost_ = 0;
};

/// Whether sums of products of such numbers stay within float: all that are finite and not 0 are
/// from 2^-40 to 2^50.
bool fits_float_sizes(const Tensor& tensor);

/// How large keys and values may be, and how far off; layouts as HeadKeys'.
template <class T>
struct KeySizes {
  std::vector<T> k, v, error_k, error_v;
};

/// The products of a tile's queries and weights with these.
template <class T>
struct TileSizes {
  std::vector<T> q, s, error_s, w, o, both, error_o;
};

}  // namespace attnfuzz
