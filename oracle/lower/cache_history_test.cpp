#include "oracle/lower/cache_history.h"

#include <gtest/gtest.h>

namespace attnfuzz {
namespace {

Case with(Cache cache, std::vector<Step> steps) {
  Case c;
  c.problem.batch = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache = cache;
  c.steps = std::move(steps);
  return c;
}

std::vector<Token> tokens(const CacheHistory& cache, int64_t b) {
  std::vector<Token> tokens;
  for (const KeyEntry& entry : cache.entries(b)) tokens.push_back(entry.key);
  return tokens;
}

using Tokens = std::vector<Token>;
using Lengths = std::vector<int64_t>;

TEST(CacheHistory, RaggedPrefillThenDecode) {
  const Case c = with({}, {{StepOp::prefill, 3, {3, 1}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}});
  CacheHistory cache(c);
  cache.apply(0);
  EXPECT_EQ(cache.lengths(), (Lengths{3, 1}));
  EXPECT_EQ(cache.new_tokens(1), 1);
  cache.apply(1);
  EXPECT_EQ(cache.past_length(0), 3);
  EXPECT_EQ(cache.past_length(1), 1);
  EXPECT_EQ(tokens(cache, 1), (Tokens{{0, 1, 0}, {1, 1, 0}}));
}

TEST(CacheHistory, ReorderCopiesRowsAndRemembersWhereTheyCameFrom) {
  const Case c = with({}, {{StepOp::prefill, 1, {}, {}, 0},
                           {StepOp::reorder, 0, {}, {1, 1}, 0},
                           {StepOp::decode, 1, {}, {}, 0}});
  CacheHistory cache(c);
  for (size_t n = 0; n < 3; ++n) cache.apply(n);
  EXPECT_EQ(tokens(cache, 0), (Tokens{{0, 1, 0}, {2, 0, 0}}));
  EXPECT_EQ(tokens(cache, 1), (Tokens{{0, 1, 0}, {2, 1, 0}}));
}

TEST(CacheHistory, CropKeepsTheFirstTokensAndResetNone) {
  const Case c = with({}, {{StepOp::prefill, 4, {4, 1}, {}, 0},
                           {StepOp::crop, 0, {}, {}, 2},
                           {StepOp::reset, 0, {}, {}, 0}});
  CacheHistory cache(c);
  cache.apply(0);
  cache.apply(1);
  EXPECT_EQ(cache.lengths(), (Lengths{2, 1}));
  EXPECT_EQ(tokens(cache, 0), (Tokens{{0, 0, 0}, {0, 0, 1}}));
  cache.apply(2);
  EXPECT_EQ(cache.lengths(), (Lengths{0, 0}));
}

TEST(CacheHistory, RingForgetsTheOldestAndCountsOn) {
  const Case c = with({CacheKind::ring, 2, 0},
                      {{StepOp::prefill, 3, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}});
  CacheHistory cache(c);
  cache.apply(0);
  EXPECT_EQ(cache.entries(0).size(), 3u);  // the step's own queries may look at all
  EXPECT_EQ(cache.lengths(), (Lengths{2, 2}));
  cache.apply(1);
  EXPECT_EQ(tokens(cache, 0), (Tokens{{0, 0, 1}, {0, 0, 2}, {1, 0, 0}}));
  EXPECT_EQ(cache.positions(0)[0], 1);
  EXPECT_EQ(cache.past_length(0), 3);
  EXPECT_TRUE(cache_shows(*c.cache, 3, 2, 0));  // its own token and the one before
  EXPECT_FALSE(cache_shows(*c.cache, 3, 1, 0));
}

}  // namespace
}  // namespace attnfuzz
