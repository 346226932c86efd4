#include "targets/cpu/vector_exp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace attnfuzz {
namespace {

template <class F>
long double ulp_of(long double x) {
  int exponent = 0;
  std::frexp(x, &exponent);
  const int least = std::numeric_limits<F>::min_exponent - std::numeric_limits<F>::digits;
  return std::ldexp(1.0L, std::max(exponent - std::numeric_limits<F>::digits, least));
}

template <class F>
long double worst_ulps(F from, F to, int points) {
  std::vector<F> x, y;
  for (int k = 0; k <= points; ++k)
    x.push_back(from + (to - from) * static_cast<F>(k) / static_cast<F>(points));
  y = x;
  exp_below(std::span(y), F{0});
  long double worst = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    const long double exact = std::exp(static_cast<long double>(x[k]));
    worst = std::max(worst, std::abs(y[k] - exact) / ulp_of<F>(exact));
  }
  return worst;
}

TEST(VectorExp, IsWithinItsUlpsDownToSubnormals) {
  EXPECT_LE(worst_ulps<float>(-110, 0, 2000000), 1.25L);
  EXPECT_LE(worst_ulps<float>(-0x1p-20f, 0, 100000), 1.25L);
  EXPECT_LE(worst_ulps<double>(-760, 0, 1000000), 1.25L);
  EXPECT_LE(worst_ulps<double>(-0x1p-40, 0, 100000), 1.25L);
}

TEST(VectorExp, Ends) {
  EXPECT_EQ(exp_nonpositive(0.0f), 1.0f);
  EXPECT_EQ(exp_nonpositive(0.0), 1.0);
  EXPECT_EQ(exp_nonpositive(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(exp_nonpositive(-std::numeric_limits<double>::infinity()), 0.0);
  EXPECT_TRUE(std::isnan(exp_nonpositive(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace attnfuzz
