#include "fuzz/draw.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

#include "fuzz/byte_draw.h"

namespace attnfuzz {
namespace {

TEST(Draw, IsAFunctionOfSeedAndIndex) {
  std::set<uint64_t> firsts;
  for (uint64_t seed = 0; seed < 8; ++seed)
    for (uint64_t index = 0; index < 8; ++index) {
      const uint64_t first = seeded_draw(seed, index)->bits();
      EXPECT_EQ(first, seeded_draw(seed, index)->bits());
      firsts.insert(first);
    }
  EXPECT_EQ(firsts.size(), 64U);
}

TEST(Draw, BetweenReachesBothEndsAndNothingElse) {
  const auto draw = seeded_draw(1, 2);
  std::set<int64_t> seen;
  for (int k = 0; k < 200; ++k) seen.insert(draw->between(-2, 2));
  EXPECT_EQ(seen, (std::set<int64_t>{-2, -1, 0, 1, 2}));
  EXPECT_EQ(draw->between(7, 7), 7);
  constexpr int64_t lowest = std::numeric_limits<int64_t>::min(),
                    highest = std::numeric_limits<int64_t>::max();
  std::set<bool> signs;
  for (int k = 0; k < 64; ++k) signs.insert(draw->between(lowest, highest) < 0);
  EXPECT_EQ(signs.size(), 2U);
}

TEST(Draw, ChanceIsAPercentage) {
  const auto draw = seeded_draw(3, 4);
  int hits = 0;
  for (int k = 0; k < 10000; ++k) hits += draw->chance(30);
  EXPECT_NEAR(hits, 3000, 300);
  EXPECT_FALSE(draw->chance(0));
  EXPECT_TRUE(draw->chance(100));
}

TEST(ByteDraw, ReadsTwoBytesAndGoesOnWithZeros) {
  const std::vector<uint8_t> bytes{0x34, 0x12, 0xff};
  ByteDraw draw(bytes);
  EXPECT_EQ(draw.bits(), 0x1234U);
  EXPECT_EQ(draw.bits(), 0xffU);
  EXPECT_EQ(draw.bits(), 0U);
  EXPECT_EQ(draw.between(5, 9), 5);
}

}  // namespace
}  // namespace attnfuzz
