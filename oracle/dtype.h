#pragma once
#include <cstdint>
#include <span>

#include "oracle/names.h"

namespace attnfuzz {

/// Element types of tensors. f16 is IEEE binary16, bf16 bfloat16; e4m3 and e5m2 are the OCP 8-bit
/// formats (e4m3 has no infinities, saturates at 448).
enum class DType : uint8_t { f64, f32, f16, bf16, e4m3, e5m2 };
template <>
inline constexpr std::array<std::string_view, 6> names_of<DType>{"f64",  "f32",  "f16",
                                                                 "bf16", "e4m3", "e5m2"};

struct DTypeInfo {
  int bytes;
  int mantissa_bits;  ///< p, with the hidden bit; unit roundoff is 2^-p
  int min_exponent;   ///< of the smallest normal number
  double max_finite;
};
const DTypeInfo& info(DType type);

/// u = 2^-p: |fl(x) − x| ≤ u|x| for normal results with round to nearest.
double unit_roundoff(DType type);
/// Smallest positive subnormal number.
double smallest_subnormal(DType type);

/// x rounded to `type` (nearest, ties to even) and back; overflow gives ±inf (e4m3: NaN).
double round_to(DType type, double x);

/// Raw elements of `type` from and to doubles (encode rounds as round_to does).
void encode(DType type, std::span<const double> values, void* raw);
void decode(DType type, const void* raw, std::span<double> values);

}  // namespace attnfuzz
