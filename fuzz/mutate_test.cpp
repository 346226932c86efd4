#include "fuzz/mutate.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

#include "fuzz/coverage.h"
#include "oracle/case_io.h"
#include "targets/target.h"

namespace attnfuzz {
namespace {

class Mutations : public ::testing::TestWithParam<const char*> {
 protected:
  const Capabilities capabilities_ = open_target(GetParam())->info().capabilities;
  const Mutator mutator_{capabilities_};
};

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST_P(Mutations, StayInsideTheClaims) {
  EXPECT_TRUE(rc::check([&](uint64_t seed) {
    const auto draw = seeded_draw(seed, 0);
    Case c = mutator_.decode({});
    const Case other = generate(capabilities_, *draw);
    for (int k = 0; k < 5; ++k) {
      const Case mutated = mutator_.mutate(c, *draw), crossed = mutator_.cross(c, other, *draw);
      for (const Case& each : {mutated, crossed}) {
        check(each);
        RC_ASSERT(capabilities_.rejection_reason(each) == "");
      }
      RC_ASSERT(!(mutated == c));
      c = draw->chance(50) ? mutated : crossed;
    }
  }));
}

TEST_P(Mutations, EveryByteStringIsACase) {
  EXPECT_TRUE(rc::check([&](const std::vector<uint8_t>& bytes) {
    const Case c = mutator_.decode(bytes);
    check(c);
    RC_ASSERT(capabilities_.rejection_reason(c) == "");
    RC_ASSERT(mutator_.decode(bytes) == c);
    RC_ASSERT(mutator_.decode(bytes_of(Mutator::encode(c))) == c);
  }));
}

INSTANTIATE_TEST_SUITE_P(Targets, Mutations,
                         ::testing::Values("cpu:tiled", "cpu:naive", "cpu:paged-cache",
                                           "specimen:llama4-chunked-eager"),
                         [](const auto& test) { return "n" + std::to_string(test.index); });

TEST(Mutations, ALargeCaseIsReadAsItIs) {
  const Mutator mutator(open_target("cpu:naive")->info().capabilities);
  Case c;
  c.problem.q_len = c.problem.kv_len = 4096;
  EXPECT_EQ(mutator.decode(bytes_of(Mutator::encode(c))), c);
}

TEST(Mutations, ReachEveryPartOfACase) {
  const Mutator mutator(open_target("cpu:tiled")->info().capabilities);
  const auto draw = seeded_draw(1, 1);
  const Case start = mutator.decode({});
  std::set<std::string> words;
  for (int k = 0; k < 2000; ++k)
    for (const std::string& word : features(mutator.mutate(start, *draw))) words.insert(word);
  for (const char* word : {"dtype:f16", "layout:bshd", "rule:causal", "softcap", "gqa",
                           "head_dim_v", "sinks", "cross", "data:large"})
    EXPECT_TRUE(words.contains(word)) << word;
}

TEST(Mutations, ReachTheGoals) {
  const Mutator mutator(parse_capabilities(
      R"({"sizes": {"q_len": [1, 512], "kv_len": [1, 512], "head_dim": [128, 128],
                    "head_dim_v": [128, 128]}, "tiles": {"q_len": [64], "kv_len": [64]},
          "features": ["dtype:f32", "layout:bhsd", "cross", "longer_q"]})",
      "test"));
  const auto draw = seeded_draw(1, 1);
  const Case start = mutator.decode({});
  std::set<std::string> reached;
  for (int k = 0; k < 1000; ++k) {
    const CaseMarks marks = marks_of(mutator.mutate(start, *draw));
    for (const Goal& goal : mutator.goals())
      if (reaches(marks, goal)) reached.insert(goal.name);
  }
  for (const char* goal :
       {"kv_len: one above the tile of 64", "kv_len: part of the third tile of 64",
        "q_len and kv_len: second tiles of 64 and 64"})
    EXPECT_TRUE(reached.contains(goal)) << goal;
}

/// None of b's numbers is one that a new case would have.
TEST(Mutations, CrossTakesOptionsOfBoth) {
  const Mutator mutator(parse_capabilities(
      R"({"sizes": {"head_dim": [2, 16, 2], "head_dim_v": [1, 16], "kv_len": [1, 16]},
          "features": ["dtype:f32", "layout:bhsd", "cross", "dropout", "lse", "rope:half"]})",
      "test"));
  Case a, b;
  a.problem.head_dim = b.problem.head_dim = 2;
  a.problem.head_dim_v = b.problem.head_dim_v = 2;
  a.data.seed = 123456789;
  b.problem.dropout_keep = 37;
  b.problem.outputs = {Output::out, Output::lse};
  b.problem.rope = Rope::half;
  b.problem.rope_base = 77;
  const auto draw = seeded_draw(1, 1);
  bool dropout = false, lse = false, rope = false, nudged = false;
  for (int k = 0; k < 2000; ++k) {
    const Case crossed = mutator.cross(a, b, *draw);
    const Problem& child = crossed.problem;
    dropout |= child.dropout_keep == 37;
    lse |= crossed.data.seed == a.data.seed && child.asks(Output::lse);
    rope |= child.rope_base == 77 && child.rope == Rope::half;
    const Case mutated = mutator.mutate(b, *draw);
    nudged |= mutated.problem.rope_base == 77 && mutated.problem.dropout_keep % 10 != 0 &&
              mutated.problem.dropout_keep != 37;
  }
  EXPECT_TRUE(dropout);
  EXPECT_TRUE(lse);
  EXPECT_TRUE(rope);
  EXPECT_TRUE(nudged);
}

TEST(Mutations, KeepTheLengthsOfACrossCache) {
  const Mutator mutator(open_target("fixed:cross-lengths-ignored")->info().capabilities);
  Case c;
  c.problem.batch = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache = Cache{.kind = CacheKind::cross};
  Step& fill = c.steps.emplace_back();
  fill.op = StepOp::prefill;
  fill.q_len = 2;
  fill.lens = {7, 9};
  fill.kv_len = 9;
  c.data.seed = 123456789;
  const auto draw = seeded_draw(1, 1);
  bool kept = false, nudged = false;
  for (int k = 0; k < 2000; ++k) {
    const Case mutated = mutator.mutate(c, *draw);
    if (mutated.data.seed != c.data.seed || !mutated.cached() || mutated.steps.empty()) continue;
    const Step& step = mutated.steps.front();
    kept |= step.lens == c.steps[0].lens && step.kv_len == 9;
    nudged |= step.kv_len > 9 && step.q_len == 2;
  }
  EXPECT_TRUE(kept);
  EXPECT_TRUE(nudged);
}

TEST(Coverage, TellsTileEdgesApart) {
  Capabilities capabilities;
  capabilities.tiles["kv_len"] = {16};
  std::set<std::vector<uint32_t>> seen;
  Case c;
  for (const int64_t kv_len : {15, 17, 32, 34, 48}) {
    c.problem.kv_len = kv_len;
    seen.insert(coverage_of(c, capabilities));
  }
  EXPECT_EQ(seen.size(), 5U);
  c.problem.kv_len = 35;
  seen.insert(coverage_of(c, capabilities));
  c.problem.kv_len = 37;
  EXPECT_FALSE(seen.insert(coverage_of(c, capabilities)).second);  // odd, and near no edge, both
}

TEST(Coverage, ErrorPointsRiseWithTheError) {
  Case c;
  Verdict verdict;
  uint32_t last = 0;
  for (const double ratio : {0.1, 0.5, 0.9, 1.5, 4.0, 100.0}) {
    verdict.worst_ratio = ratio;
    const uint32_t at = error_point(c, verdict);
    EXPECT_GT(at, last) << ratio;
    EXPECT_LT(at, error_points);
    last = at;
  }
  verdict.worst_ratio = std::numeric_limits<double>::quiet_NaN();
  EXPECT_GE(error_point(c, verdict), last);
}

}  // namespace
}  // namespace attnfuzz
