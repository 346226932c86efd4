#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace attnfuzz::measure {

/// Flags of many things, 64 to a word.
using Bits = std::vector<uint64_t>;

inline Bits packed(const std::vector<uint8_t>& flags) {
  Bits bits((flags.size() + 63) / 64);
  for (size_t n = 0; n < flags.size(); ++n)
    bits[n / 64] |= static_cast<uint64_t>(flags[n] != 0) << n % 64;
  return bits;
}

inline bool is_within(const Bits& a, const Bits& b) {
  for (size_t n = 0; n < a.size(); ++n)
    if ((a[n] & ~b[n]) != 0) return false;
  return true;
}

inline bool is_empty(const Bits& a) {
  return std::all_of(a.begin(), a.end(), [](uint64_t x) { return x == 0; });
}

inline Bits both(const Bits& a, const Bits& b) {
  Bits c(a);
  for (size_t n = 0; n < c.size(); ++n) c[n] &= b[n];
  return c;
}

inline Bits either(const Bits& a, const Bits& b) {
  Bits c(a);
  for (size_t n = 0; n < c.size(); ++n) c[n] |= b[n];
  return c;
}

inline size_t count_of(const Bits& a) {
  size_t count = 0;
  for (const uint64_t x : a) count += static_cast<size_t>(std::popcount(x));
  return count;
}

/// How many things both have.
inline size_t count_of_both(const Bits& a, const Bits& b) {
  size_t count = 0;
  for (size_t n = 0; n < a.size(); ++n) count += static_cast<size_t>(std::popcount(a[n] & b[n]));
  return count;
}

}  // namespace attnfuzz::measure
