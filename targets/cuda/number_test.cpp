#include "targets/cuda/number.h"

#include <gtest/gtest.h>

#include <cmath>

#include "oracle/dtype.h"

namespace attnfuzz::cuda {
namespace {

double decoded(DType type, uint16_t bits) {
  double x = 0;
  decode(type, &bits, {&x, 1});
  return x;
}
uint16_t encoded(DType type, double x) {
  uint16_t bits = 0;
  encode(type, {&x, 1}, &bits);
  return bits;
}

/// Every number of the type, and the floats beside the middle of it and its neighbour.
template <class T>
void expect_as_oracle(DType type) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const T number{static_cast<uint16_t>(bits)};
    const double want = decoded(type, number.bits);
    const float wide = widen(number);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(wide)) << bits;
      EXPECT_TRUE(std::isnan(widen(nearest<T>(wide)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(wide), want) << bits;
    const T next{static_cast<uint16_t>(bits + 1)};
    const float middle =
        std::isfinite(wide) ? static_cast<float>((want + decoded(type, next.bits)) / 2) : wide;
    for (const float x :
         {wide, middle, std::nextafter(middle, -INFINITY), std::nextafter(middle, INFINITY)})
      ASSERT_TRUE(std::isnan(x) || nearest<T>(x).bits == encoded(type, static_cast<double>(x)))
          << bits << " " << x;
  }
}

TEST(CudaNumber, HalfRoundsAsTheOracle) {
  expect_as_oracle<Half>(DType::f16);
}
TEST(CudaNumber, BfloatRoundsAsTheOracle) {
  expect_as_oracle<Bfloat>(DType::bf16);
}

}  // namespace
}  // namespace attnfuzz::cuda
