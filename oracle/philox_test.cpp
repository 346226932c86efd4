#include "oracle/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace attnfuzz {
namespace {

struct Known {
  uint64_t key, low, high;
  uint32_t words[4];
};

// Random123's kat_vectors for philox4x32 with 10 rounds.
constexpr Known known[] = {
    {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {0x299f31d0a4093822,
     0x85a308d3243f6a88,
     0x0370734413198a2e,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

TEST(Philox, PublishedVectors) {
  for (const Known& k : known) {
    const Philox block = philox4x32(k.key, k.low, k.high);
    for (int n = 0; n < 4; ++n) EXPECT_EQ(block.v[n], k.words[n]);
  }
}

TEST(Philox, NormalHasMeanZeroAndVarianceOne) {
  constexpr int count = 200000;
  double sum = 0, squares = 0, largest = 0;
  for (uint64_t k = 0; k < count; ++k) {
    const double x = normal_from_bits(element_bits(7, 1, k));
    sum += x;
    squares += x * x;
    largest = std::max(largest, std::abs(x));
  }
  // Five standard errors.
  EXPECT_NEAR(sum / count, 0, 5 / std::sqrt(count));
  EXPECT_NEAR(squares / count, 1, 5 * std::sqrt(2.0 / count));
  EXPECT_LE(largest, 3.47);
}

TEST(Philox, NormalAtItsEnds) {
  EXPECT_EQ(normal_from_bits(0), -normal_from_bits(~uint64_t{0}));
  EXPECT_NEAR(normal_from_bits(~uint64_t{0}), 2 * std::sqrt(3.0), 1e-4);
}

}  // namespace
}  // namespace attnfuzz
