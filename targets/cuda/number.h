#pragma once
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "oracle/host_device.h"

/// 16-bit floats in integer arithmetic, so that host and device round to the same bits.
namespace attnfuzz::cuda {

struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

ATTNFUZZ_HOST_DEVICE inline uint32_t bits_of(float x) {
  uint32_t bits = 0;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
ATTNFUZZ_HOST_DEVICE inline float float_of(uint32_t bits) {
  float x = 0;
  memcpy(&x, &bits, sizeof x);
  return x;
}

ATTNFUZZ_HOST_DEVICE inline float widen(float x) {
  return x;
}
ATTNFUZZ_HOST_DEVICE inline double widen(double x) {
  return x;
}
ATTNFUZZ_HOST_DEVICE inline float widen(Bfloat x) {
  return float_of(static_cast<uint32_t>(x.bits) << 16);
}
ATTNFUZZ_HOST_DEVICE inline float widen(Half x) {
  const uint32_t sign = (x.bits & 0x8000U) << 16, rest = x.bits & 0x7FFFU;
  if (rest >= 0x7C00U) return float_of(sign | 0x7F800000U | (rest & 0x3FFU) << 13);
  if (rest >= 0x400U) return float_of(sign | ((rest << 13) + 0x38000000U));
  const float magnitude = static_cast<float>(rest) * 0x1p-24F;  // exact
  return float_of(sign | bits_of(magnitude));
}

/// The nearest number of the type, ties to even.
template <class T>
ATTNFUZZ_HOST_DEVICE inline T nearest(double x) {
  return static_cast<T>(x);
}
template <>
ATTNFUZZ_HOST_DEVICE inline Bfloat nearest<Bfloat>(double wide) {
  const uint32_t bits = bits_of(static_cast<float>(wide));
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<uint16_t>(bits >> 16 | 0x40U)};
  return {static_cast<uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16)};
}
template <>
ATTNFUZZ_HOST_DEVICE inline Half nearest<Half>(double wide) {
  const uint32_t all = bits_of(static_cast<float>(wide));
  const uint32_t sign = all >> 16 & 0x8000U, rest = all & 0x7FFFFFFFU;
  if (rest > 0x7F800000U) return {static_cast<uint16_t>(sign | 0x7E00U)};
  if (rest >= 0x477FF000U) return {static_cast<uint16_t>(sign | 0x7C00U)};  // 65520 and more
  if (rest >= 0x38800000U)                                                  // 2^-14: normal
    return {static_cast<uint16_t>(sign | (rest - 0x38000000U + 0xFFFU + (rest >> 13 & 1U)) >> 13)};
  // Next to 0.5 floats are 2^-24 apart, as subnormal halves are: the sum rounds as it should.
  return {static_cast<uint16_t>(sign | (bits_of(float_of(rest) + 0.5F) - 0x3F000000U))};
}

template <class S>
inline constexpr S infinity = std::numeric_limits<S>::infinity();
template <class S>
inline constexpr S not_a_number = std::numeric_limits<S>::quiet_NaN();

/// In what the products of two T are summed.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

}  // namespace attnfuzz::cuda
