#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace attnfuzz {

#pragma GCC diagnostic ignored "-Wpsabi"  // these functions are always inlined

/// How many numbers a Lane has: those of an AVX register. GCC makes loops of wider ones.
inline constexpr int64_t lane_size = 4;

/// Numbers that are worked on at once: GCC's and Clang's vectors, which have +, *, <, ?: for each
/// element.
using Lane = double __attribute__((vector_size(lane_size * sizeof(double))));
/// For each element 0 or −1, as a comparison of lanes gives it.
using LaneMask = int64_t __attribute__((vector_size(lane_size * sizeof(int64_t))));

[[gnu::always_inline]] inline Lane load(const double* x) {
  Lane some;
  std::memcpy(&some, x, sizeof some);
  return some;
}
[[gnu::always_inline]] inline void store(const Lane& some, double* x) {
  std::memcpy(x, &some, sizeof some);
}
/// Where the bytes at x are not 0.
[[gnu::always_inline]] inline LaneMask load_mask(const uint8_t* x) {
  using Bytes = uint8_t __attribute__((vector_size(lane_size)));
  Bytes bytes;
  std::memcpy(&bytes, x, sizeof bytes);
  return __builtin_convertvector(bytes, LaneMask) != 0;
}

[[gnu::always_inline]] inline Lane larger(const Lane& x, const Lane& most) {
  return x > most ? x : most;
}
[[gnu::always_inline]] inline double largest_of(const Lane& x) {
  const double front = x[0] > x[1] ? x[0] : x[1], back = x[2] > x[3] ? x[2] : x[3];
  return front > back ? front : back;
}
[[gnu::always_inline]] inline double sum_of(const Lane& x) {
  return (x[0] + x[2]) + (x[1] + x[3]);
}

/// The last elements of an array, where they do not fill a lane: with zeros behind them.
template <class T>
std::array<T, lane_size> last(const T* x, int64_t count) {
  std::array<T, lane_size> some = {};
  std::copy_n(x, count, some.begin());
  return some;
}

}  // namespace attnfuzz
