#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace attnfuzz {

/// What vector_exp needs to know of a type. `magic` is 1.5 · 2^(mantissa bits): adding it rounds to
/// an integer, which then stands in the low bits.
template <class F>
struct ExpTraits;
template <>
struct ExpTraits<float> {
  using Bits = int32_t;
  static constexpr float magic = 0x1.8p23f, lowest = -104.0f;
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr int mantissa = 23, bias = 127, terms = 7;
};
template <>
struct ExpTraits<double> {
  using Bits = int64_t;
  static constexpr double magic = 0x1.8p52, lowest = -746.0;
  static constexpr double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b3ap-40;
  static constexpr int mantissa = 52, bias = 1023, terms = 13;
};

/// e^x for x ≤ 0, within 1.25 ulps (1 where multiply-add is fused) down to the last subnormal
/// number, and exactly 0 for −infinity. No branch, so that compilers make vector code of a loop
/// over it (Eigen's exp flushes subnormal results to 0). x = n ln 2 + r with |r| ≤ ln 2 / 2, e^r by
/// its Taylor polynomial.
template <class F>
inline F exp_nonpositive(F x) {
  using Traits = ExpTraits<F>;
  using Bits = typename Traits::Bits;
  constexpr auto inverse_factorials = [] {
    std::array<F, Traits::terms + 1> all{1};
    double factorial = 1;
    for (int k = 1; k <= Traits::terms; ++k)
      all[static_cast<size_t>(k)] = static_cast<F>(1 / (factorial *= k));
    return all;
  }();
  x = x < Traits::lowest ? Traits::lowest : x;
  const F shifted = x * F(1.4426950408889634) + Traits::magic;
  const F n = shifted - Traits::magic;
  const F r = (x - n * Traits::ln2_high) - n * Traits::ln2_low;
  F y = inverse_factorials[Traits::terms];
  for (size_t k = Traits::terms; k-- > 0;) y = y * r + inverse_factorials[k];
  // 2^n in two factors, so that a subnormal result is rounded once.
  const Bits whole = std::bit_cast<Bits>(shifted) - std::bit_cast<Bits>(Traits::magic);
  const Bits half = whole / 2;
  const auto power = [](Bits e) {
    return std::bit_cast<F>((e + Traits::bias) << Traits::mantissa);
  };
  return y * power(half) * power(whole - half);
}

/// Replaces each x by e^(x − max); max is finite and none is above it.
template <class F>
void exp_below(std::span<F> values, F max) {
  for (F& x : values) x = exp_nonpositive(x - max);
}

}  // namespace attnfuzz
