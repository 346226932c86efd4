#include "oracle/dtype.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<DType> types() {
  std::vector<DType> all;
  for (size_t k = 0; k < names_of<DType>.size(); ++k) all.push_back(static_cast<DType>(k));
  return all;
}

double decoded(DType type, uint32_t code) {
  double value = 0;
  decode(type, &code, {&value, 1});
  return value;
}

uint32_t encoded(DType type, double value) {
  uint32_t code = 0;
  encode(type, {&value, 1}, &code);
  return code;
}

/// The value of a code by the definition of its format, written with ldexp alone.
double by_definition(uint32_t code, int exponent_bits, int mantissa_bits, bool ieee) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const uint32_t fraction = code & ((1u << mantissa_bits) - 1);
  const int exponent = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double sign = code >> (exponent_bits + mantissa_bits) != 0 ? -1 : 1;
  const int top = (1 << exponent_bits) - 1;
  if (ieee && exponent == top) return fraction == 0 ? sign * inf : std::nan("");
  if (!ieee && exponent == top && fraction == (1u << mantissa_bits) - 1) return std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - mantissa_bits);
  return sign * std::ldexp(fraction + (1u << mantissa_bits), exponent - bias - mantissa_bits);
}

struct SmallFormat {
  DType type;
  int exponent_bits, mantissa_bits;
  bool ieee;
  uint32_t codes() const { return 2u << (exponent_bits + mantissa_bits); }
};
constexpr SmallFormat small_formats[] = {{DType::f16, 5, 10, true},
                                         {DType::bf16, 8, 7, true},
                                         {DType::e4m3, 4, 3, false},
                                         {DType::e5m2, 5, 2, true}};

TEST(DType, EveryCodeHasItsValueAndComesBack) {
  for (const SmallFormat& format : small_formats) {
    for (uint32_t code = 0; code < format.codes(); ++code) {
      const double want =
          by_definition(code, format.exponent_bits, format.mantissa_bits, format.ieee);
      const double got = decoded(format.type, code);
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(got)) << name(format.type) << " " << code;
        continue;
      }
      ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want))
          << name(format.type) << " " << code;
      ASSERT_EQ(encoded(format.type, got), code) << name(format.type);
    }
  }
}

// Between every two neighbours: the midpoint goes to the even code, its neighbours to theirs.
TEST(DType, RoundsToNearestTiesToEven) {
  for (const SmallFormat& format : small_formats) {
    for (uint32_t code = 0; code + 1 < format.codes() / 2; ++code) {
      const double low = decoded(format.type, code), high = decoded(format.type, code + 1);
      if (!std::isfinite(high)) break;
      const double middle = low / 2 + high / 2;
      ASSERT_EQ(encoded(format.type, middle), code + (code & 1)) << name(format.type) << code;
      ASSERT_EQ(encoded(format.type, std::nextafter(middle, 0)), code) << name(format.type);
      ASSERT_EQ(encoded(format.type, std::nextafter(middle, inf)), code + 1) << name(format.type);
      ASSERT_EQ(round_to(format.type, -middle), -round_to(format.type, middle));
    }
  }
}

TEST(DType, OverflowStartsHalfAUnitAboveTheLargest) {
  for (const DType type : types()) {
    if (type == DType::f64) continue;
    const double max = info(type).max_finite;
    const double half_unit =
        std::ldexp(1.0, std::ilogb(max)) * unit_roundoff(type);  // half of the last unit
    const double limit = max + half_unit;
    EXPECT_EQ(round_to(type, max), max) << name(type);
    EXPECT_EQ(round_to(type, std::nextafter(limit, 0)), max) << name(type);
    if (type == DType::e4m3) {
      EXPECT_EQ(round_to(type, limit), max);  // 448 has the even code
      EXPECT_TRUE(std::isnan(round_to(type, std::nextafter(limit, inf))));
      EXPECT_TRUE(std::isnan(round_to(type, -inf)));
    } else {
      EXPECT_EQ(round_to(type, limit), inf) << name(type);
      EXPECT_EQ(round_to(type, -1e300), -inf) << name(type);
      EXPECT_EQ(round_to(type, -inf), -inf) << name(type);
    }
  }
}

TEST(DType, NanIsTheQuietOne) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(encoded(DType::f32, nan), 0x7FC00000u);
  EXPECT_EQ(encoded(DType::f16, nan), 0x7E00u);
  EXPECT_EQ(encoded(DType::bf16, nan), 0x7FC0u);
  EXPECT_EQ(encoded(DType::e4m3, nan), 0x7Fu);
  EXPECT_EQ(encoded(DType::e5m2, nan), 0x7Eu);
}

TEST(DType, SmallestNumbers) {
  for (const DType type : types()) {
    const double least = smallest_subnormal(type);
    EXPECT_EQ(round_to(type, least), least) << name(type);
    if (type == DType::f64) continue;
    EXPECT_EQ(round_to(type, least / 2), 0) << name(type);
    EXPECT_EQ(round_to(type, std::nextafter(least / 2, 1)), least) << name(type);
    EXPECT_EQ(round_to(type, 1.5 * least), 2 * least) << name(type);
    EXPECT_TRUE(std::signbit(round_to(type, -least / 2))) << name(type);
  }
}

TEST(DType, ErrorIsWithinUnitRoundoff) {
  EXPECT_TRUE(rc::check("|fl(x) - x| <= u |x| for normal results", [](int64_t mantissa) {
    for (const DType type : types()) {
      const int exponent = *rc::gen::inRange(info(type).min_exponent, 8);
      const double x =
          std::ldexp(1 + std::abs(std::fmod(static_cast<double>(mantissa), 1000) / 1000), exponent);
      RC_ASSERT(std::abs(round_to(type, x) - x) <= unit_roundoff(type) * x);
    }
  }));
}

TEST(DType, F32IsTheProcessors) {
  EXPECT_TRUE(rc::check([](uint32_t code) {
    const auto value = std::bit_cast<float>(code);
    RC_PRE(value == value);
    RC_ASSERT(encoded(DType::f32, value) == code);
    RC_ASSERT(decoded(DType::f32, code) == static_cast<double>(value));
  }));
}

}  // namespace
}  // namespace attnfuzz
