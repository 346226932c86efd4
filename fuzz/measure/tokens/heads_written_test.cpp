#include "fuzz/measure/tokens/heads_written.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace attnfuzz::measure {
namespace {

/// Cases of several sizes in which these heads are written.
std::vector<HeadsSeen> seen(const std::function<bool(int64_t h, int64_t heads, int64_t kv)>& is) {
  std::vector<HeadsSeen> all;
  for (const auto& [heads, kv] : {std::pair{8, 2}, {6, 2}, {8, 4}, {7, 1}, {4, 4}}) {
    HeadsSeen& each = all.emplace_back(HeadsSeen{heads, kv, {}, {}});
    for (int64_t h = 0; h < heads; ++h) (is(h, heads, kv) ? each.some : each.none).insert(h);
  }
  return all;
}

TEST(HeadsWritten, TellsAGridThatCountsTheWrongHeads) {
  const auto all = seen([](int64_t h, int64_t heads, int64_t kv) {
    const int64_t group = heads / kv;
    for (int64_t x = 0; x < heads; ++x)
      if (x % group * group + x / group == h) return true;
    return false;
  });
  EXPECT_EQ(heads_written(all),
            "heads (x mod (num_heads / num_kv_heads))·(num_heads / num_kv_heads) + x / (num_heads "
            "/ num_kv_heads) for x from 0 to num_heads − 1 alone");
}

TEST(HeadsWritten, TellsALoopOverKvHeads) {
  EXPECT_EQ(heads_written(seen([](int64_t h, int64_t, int64_t kv) { return h < kv; })),
            "those below num_kv_heads alone");
}

TEST(HeadsWritten, TellsBlocksOfHeads) {
  EXPECT_EQ(
      heads_written(seen([](int64_t h, int64_t heads, int64_t) { return h < heads / 4 * 4; })),
      "those within the largest multiple of 4 alone");
}

TEST(HeadsWritten, TellsNoLawOfOneSize) {
  const auto all = seen([](int64_t h, int64_t, int64_t kv) { return h < kv; });
  EXPECT_EQ(heads_written(std::span(all).first(1)), "");
  EXPECT_EQ(heads_written(seen([](int64_t h, int64_t, int64_t) { return h != 1 && h != 2; })), "");
}

}  // namespace
}  // namespace attnfuzz::measure
