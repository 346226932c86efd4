#include "oracle/dtype.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace attnfuzz {
namespace {

constexpr DTypeInfo infos[] = {
    {8, 53, -1022, std::numeric_limits<double>::max()},
    {4, 24, -126, std::numeric_limits<float>::max()},
    {2, 11, -14, 65504},
    {2, 8, -126, 0x1.FEp127},
    {1, 4, -6, 448},
    {1, 3, -14, 57344},
};

constexpr double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

/// A sign-magnitude format that a double holds exactly: `Bits` wide, of which `Mantissa` are stored
/// and the smallest normal number is 2^MinExponent. Magnitudes from `Infinity` on are what overflow
/// gives; `Nan` is the quiet NaN.
template <class Code, int Mantissa, int MinExponent, uint64_t Infinity, uint64_t Nan>
struct Format {
  static constexpr int shift = 52 - Mantissa;
  static constexpr int sign_shift = 64 - 8 * static_cast<int>(sizeof(Code));
  static constexpr Code sign_bit = static_cast<Code>(Code{1} << (8 * sizeof(Code) - 1));
  /// A double's exponent field, in units of the code, less the format's.
  static constexpr uint64_t rebias = static_cast<uint64_t>(MinExponent - 1 + 1023) << Mantissa;
  static constexpr double smallest = power_of_two(MinExponent - Mantissa);

  static Code encode(double x) {
    const auto all = std::bit_cast<uint64_t>(x);
    const uint64_t magnitude = all & ~(uint64_t{1} << 63);
    // Normal results: round the mantissa in place; a carry moves into the exponent by itself.
    const uint64_t half = (uint64_t{1} << (shift - 1)) - 1 + (magnitude >> shift & 1);
    const uint64_t normal = ((magnitude + half) >> shift) - rebias;
    // Subnormal results: adding 2^52 units makes the processor round to whole units.
    constexpr double unit = smallest * 0x1p52;
    const uint64_t subnormal = std::bit_cast<uint64_t>(std::bit_cast<double>(magnitude) + unit) -
                               std::bit_cast<uint64_t>(unit);
    const bool small = magnitude < std::bit_cast<uint64_t>(power_of_two(MinExponent));
    uint64_t code = small ? subnormal : normal;
    code = !small && code > Infinity ? Infinity : code;
    if (magnitude > std::bit_cast<uint64_t>(std::numeric_limits<double>::infinity())) return Nan;
    return static_cast<Code>(code | (all >> 63 << (8 * sizeof(Code) - 1)));
  }

  static double decode(Code code) {
    const uint64_t sign = static_cast<uint64_t>(code & sign_bit) << sign_shift;
    const uint64_t magnitude = code & static_cast<Code>(~sign_bit);
    const double subnormal = static_cast<double>(magnitude) * smallest;
    const double normal = std::bit_cast<double>((magnitude + rebias) << shift);
    double x = magnitude >> Mantissa == 0 ? subnormal : normal;
    if (magnitude >= Infinity) {
      x = magnitude == Infinity && Infinity != Nan ? std::numeric_limits<double>::infinity()
                                                   : std::numeric_limits<double>::quiet_NaN();
    }
    return std::bit_cast<double>(std::bit_cast<uint64_t>(x) | sign);
  }
};

template <class Native>
struct NativeFormat {
  static Native encode(double x) {
    if (x != x) return std::numeric_limits<Native>::quiet_NaN();
    return static_cast<Native>(x);
  }
  static double decode(Native x) { return x; }
};

/// Calls `use` with the format of `type` and its storage type.
template <class Use>
auto with_format(DType type, Use use) {
  switch (type) {
    case DType::f64:
      return use.template operator()<NativeFormat<double>, double>();
    case DType::f32:
      return use.template operator()<NativeFormat<float>, float>();
    case DType::f16:
      return use.template operator()<Format<uint16_t, 10, -14, 0x7C00, 0x7E00>, uint16_t>();
    case DType::bf16:
      return use.template operator()<Format<uint16_t, 7, -126, 0x7F80, 0x7FC0>, uint16_t>();
    case DType::e4m3:
      return use.template operator()<Format<uint8_t, 3, -6, 0x7F, 0x7F>, uint8_t>();
    case DType::e5m2:
      break;
  }
  return use.template operator()<Format<uint8_t, 2, -14, 0x7C, 0x7E>, uint8_t>();
}

}  // namespace

const DTypeInfo& info(DType type) {
  return infos[static_cast<size_t>(type)];
}

double unit_roundoff(DType type) {
  return std::ldexp(1.0, -info(type).mantissa_bits);
}

double smallest_subnormal(DType type) {
  return std::ldexp(1.0, info(type).min_exponent - info(type).mantissa_bits + 1);
}

double round_to(DType type, double x) {
  return with_format(type, [x]<class F, class Code>() { return F::decode(F::encode(x)); });
}

void encode(DType type, std::span<const double> values, void* raw) {
  with_format(type, [values, raw]<class F, class Code>() {
    auto* out = static_cast<Code*>(raw);
    for (size_t i = 0; i < values.size(); ++i) out[i] = F::encode(values[i]);
  });
}

void decode(DType type, const void* raw, std::span<double> values) {
  with_format(type, [values, raw]<class F, class Code>() {
    const auto* in = static_cast<const Code*>(raw);
    for (size_t i = 0; i < values.size(); ++i) values[i] = F::decode(in[i]);
  });
}

}  // namespace attnfuzz
