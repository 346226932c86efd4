#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "fuzz/claims.h"
#include "fuzz/reach/dead_claims.h"
#include "fuzz/reach/sequence.h"
#include "oracle/case_io.h"
#include "oracle/work.h"
#include "targets/target.h"

namespace attnfuzz {
namespace {

Capabilities claims(std::string_view json) {
  return parse_capabilities(json, "test");
}

/// Sizes as kernels in use have them, but no usual ones.
const Capabilities tiled = claims(
    R"({"sizes": {"batch": [1, 2], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 600],
                  "kv_len": [1, 600], "head_dim": [112, 112], "head_dim_v": [112, 112]},
        "features": ["dtype:f32", "layout:bhsd", "gqa", "rule:causal", "rule:window", "cross",
                     "align:bottom_right"],
        "tiles": {"q_len": [48], "kv_len": [80]}})");
const Capabilities paged = claims(
    R"({"sizes": {"num_heads": [12, 12], "num_kv_heads": [2, 2], "q_len": [1, 256],
                  "kv_len": [1, 1024], "head_dim": [160, 160], "head_dim_v": [160, 160],
                  "steps": [1, 12], "capacity": [24, 1024, 24], "page_size": [24, 24]},
        "features": ["dtype:bf16", "layout:bshd", "gqa", "rule:causal", "cache:paged",
                     "step:prefill", "step:append", "step:decode"]})");
const Capabilities ring = claims(
    R"({"sizes": {"num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 64], "kv_len": [1, 200],
                  "head_dim": [32, 32], "head_dim_v": [32, 32], "steps": [1, 9],
                  "capacity": [7, 40]},
        "features": ["dtype:f32", "layout:bhsd", "rule:causal", "cache:ring", "step:prefill",
                     "step:append", "step:decode"], "tiles": {"kv_len": [16]}})");

Reach reach_of(Sequence& sequence, uint64_t cases) {
  ReachCounter counter(sequence.goals());
  Reach reach;
  for (uint64_t index = 0; index < cases; ++index) counter.count(sequence(index), reach);
  add_missed(sequence, cases, reach);
  return reach;
}

std::string missed(const Reach& reach) {
  std::string all;
  for (const auto& [goal, why] : reach)
    if (!why.empty()) all += goal + ": " + why + "\n";
  return all;
}

TEST(Reach, EveryGoalWithinThreeHundredCases) {
  for (const Capabilities* capabilities : {&tiled, &ring})
    for (const uint64_t seed : {1, 2, 3}) {
      Sequence sequence(*capabilities, seed);
      EXPECT_EQ(missed(reach_of(sequence, 300)), "") << seed;
    }
}

TEST(Reach, GoalsAreNamedByWhatTheyCross) {
  const auto names = [](const Capabilities& capabilities) {
    std::set<std::string> all;
    for (const Goal& goal : goals_of(Claims(capabilities))) all.insert(goal.name);
    return all;
  };
  for (const char* goal :
       {"q_len: part of the third tile of 48", "kv_len: one above the tile of 80",
        "kv_len: the largest claimed, 600", "gqa: 4 query heads for each KV head",
        "q_len and kv_len: second tiles of 48 and 80", "gqa with rule:causal",
        "window.left: longer than a tile, in the third tile of 80"})
    EXPECT_TRUE(names(tiled).contains(goal)) << goal;
  for (const char* goal : {"pages of 24: the third", "pages of 24: more than eight",
                           "cached kv_len: part of the second tile of 128 (usual)",
                           "decode: past_len in the third tile of 64",
                           "paged cache: filled to its capacity", "steps: the largest claimed, 12"})
    EXPECT_TRUE(names(paged).contains(goal)) << goal;
  for (const char* goal : {"ring cache: wraps twice", "ring cache: a step longer than its capacity",
                           "ring cache: wraps, its capacity above a tile of 16"})
    EXPECT_TRUE(names(ring).contains(goal)) << goal;
}

TEST(Reach, ACaseDependsOnSeedAndIndexAlone) {
  Sequence forward(tiled, 5), backward(tiled, 5), other(tiled, 6);
  std::vector<Case> cases;
  for (uint64_t index = 0; index < 120; ++index) cases.push_back(forward(index));
  size_t same = 0;
  for (uint64_t index = 120; index-- > 0;) {
    EXPECT_EQ(backward(index), cases[index]) << index;
    same += other(index) == cases[index];
  }
  EXPECT_LT(same, 10U);
}

TEST(Reach, WhatIsTooCostlyIsNamedAndNotRun) {
  const Capabilities large = claims(
      R"({"sizes": {"num_heads": [128, 128], "num_kv_heads": [128, 128], "q_len": [1, 65536],
                    "kv_len": [1, 65536], "head_dim": [256, 256], "head_dim_v": [256, 256]},
          "equal": [["q_len", "kv_len"]], "features": ["dtype:f32", "layout:bhsd"]})");
  Sequence sequence(large, 1);
  for (const Sequence::Entry& entry : sequence.plan()) EXPECT_LE(entry.work, Sequence::most_work);
  const Reach reach = reach_of(sequence, 400);
  EXPECT_NE(reach.at("kv_len: the largest claimed, 65536").find("too costly"), std::string::npos);
  EXPECT_EQ(reach.at("kv_len: part of the second tile of 32 (usual)"), "");
}

TEST(Reach, WorkOfGoalsGrowsWithTheCampaign) {
  Sequence sequence(paged, 1);
  double planned = 0;
  std::vector<Sequence::Entry> plan = sequence.plan();
  std::sort(plan.begin(), plan.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  for (const Sequence::Entry& entry : plan) {
    planned += entry.work;
    EXPECT_LE(planned, static_cast<double>(entry.index + 1) * (1 << 23)) << entry.index;
  }
}

TEST(Reach, PartsOfACampaignAddUp) {
  Reach a{{"x", ""}, {"y", "the budget ended"}}, b{{"x", "declined"}, {"y", ""}, {"z", "why"}};
  merge(a, b);
  EXPECT_EQ(a, (Reach{{"x", ""}, {"y", ""}, {"z", "why"}}));
  EXPECT_EQ(reached_goals(a), 2U);
}

TEST(Reach, ManyHeadsToAGroup) {
  const Capabilities wide = claims(
      R"({"sizes": {"num_heads": [64, 64], "num_kv_heads": [1, 64], "q_len": [1, 64],
                    "kv_len": [1, 64], "head_dim": [128, 128], "head_dim_v": [128, 128]},
          "features": ["dtype:f32", "layout:bhsd", "gqa"]})");
  Sequence sequence(wide, 1);
  std::set<int64_t> groups;
  for (uint64_t index = 0; index < 300; ++index) {
    const Problem p = sequence(index).problem;
    EXPECT_EQ(p.num_heads % p.num_kv_heads, 0);
    groups.insert(p.num_heads / p.num_kv_heads);
  }
  EXPECT_TRUE(groups.contains(8) && groups.contains(32)) << groups.size();
}

TEST(Reach, AsManyKvHeadsAsHeads) {
  const Capabilities alike = claims(
      R"({"sizes": {"num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [1, 64],
                    "kv_len": [1, 64], "head_dim": [16, 16], "head_dim_v": [16, 16]},
          "features": ["dtype:f32", "layout:bhsd"]})");
  Sequence sequence(alike, 1);
  const Reach reach = reach_of(sequence, 300);
  EXPECT_EQ(reach.at("num_kv_heads: the largest claimed, 32"), "");
}

TEST(Reach, RaisedMinimaMeetCaches) {
  const Capabilities raised = claims(
      R"({"sizes": {"q_len": [48, 96], "kv_len": [100, 512], "head_dim": [64, 64],
                    "head_dim_v": [64, 64], "steps": [1, 8], "capacity": [16, 512, 16],
                    "page_size": [16, 16]},
          "features": ["dtype:f32", "layout:bhsd", "cache:paged", "cache:fixed", "step:prefill",
                       "step:append"]})");
  Sequence sequence(raised, 1);
  for (uint64_t index = 0; index < 200; ++index)
    EXPECT_EQ(raised.rejection_reason(sequence(index)), "") << index;
}

TEST(Reach, OneCompilationServesManyCases) {
  Capabilities compiled = claims(
      R"({"sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 70],
                    "kv_len": [1, 70], "head_dim": [1, 64], "head_dim_v": [1, 64]},
          "features": ["dtype:f32", "dtype:f16", "layout:bhsd", "layout:bshd", "gqa", "mqa",
                       "cross", "longer_q", "head_dim_v", "scale", "softcap", "rule:causal",
                       "rule:window", "rule:padding", "padding.side:right", "align:top_left",
                       "fully_masked:zero", "data:large"],
          "compiled_for": ["batch", "num_heads", "num_kv_heads", "q_len", "kv_len", "head_dim",
                           "head_dim_v", "softcap"]})");
  Sequence sequence(compiled, 1);
  const CompiledFor compiled_for(sequence.claims());
  constexpr uint64_t count = 24 * Sequence::cases_per_compilation;
  size_t compilations = 0;
  std::set<std::string> lines;
  std::set<std::set<int64_t>> sizes;
  std::optional<CaseMarks> last;
  for (uint64_t index = 0; index < count; ++index) {
    const Case c = sequence(index);
    EXPECT_EQ(compiled.rejection_reason(c), "");
    CaseMarks marks = marks_of(c);
    compilations += !last || !compiled_for.same(*last, marks);
    last = std::move(marks);
    lines.insert(one_line(c));
    sizes.insert({c.problem.batch, c.problem.num_heads, c.problem.num_kv_heads, c.problem.q_len,
                  c.problem.kv_len, c.problem.head_dim, c.problem.head_dim_v});
  }
  EXPECT_LE(compilations, 32U);  // some cases need one of their own, and one back again
  EXPECT_GE(lines.size(), count / 3);
  EXPECT_GE(sizes.size(), 20U);
  const Reach reach = reach_of(sequence, count);
  EXPECT_EQ(reach.at("kv_len: part of the second tile of 32 (usual)"), "");
  EXPECT_EQ(reach.at("rule:window with softcap"), "");
  EXPECT_EQ(Sequence(compiled, 1)(300), sequence(300));
}

std::vector<std::string> dead_claims_of(const Capabilities& capabilities) {
  const Generator generator(capabilities);
  return dead_claims(generator.claims(), unusable_features(generator));
}

TEST(DeadClaims, AreTold) {
  const auto told = [](std::string_view json) {
    const std::vector<std::string> all = dead_claims_of(claims(json));
    return all.empty() ? "" : all.front();
  };
  EXPECT_EQ(told(R"({"features": ["dtype:f32", "layout:bhsd", "head_map:interleaved"]})"),
            "no case can use head_map:interleaved: it needs gqa, which is not claimed");
  EXPECT_EQ(told(R"({"sizes": {"head_dim": [8, 8], "head_dim_v": [8, 8]},
                     "features": ["dtype:f32", "layout:bhsd", "head_dim_v"]})"),
            "no case can use head_dim_v: the sizes are claimed to be equal");
  EXPECT_EQ(told(R"({"sizes": {"head_dim": [64, 100, 64], "head_dim_v": [64, 100, 64]},
                     "features": ["dtype:f32", "layout:bhsd"]})"),
            "head_dim [64, 100] by 64 leaves 64 alone");
  EXPECT_EQ(told(R"({"sizes": {"q_len": [1, 32], "kv_len": [1, 32]}, "tiles": {"kv_len": [64]},
                     "features": ["dtype:f32", "layout:bhsd"]})"),
            "no kv_len is as long as the tile 64: at most 32 is claimed");
  EXPECT_EQ(
      told(R"({"params": {"window.left": [0, 8]}, "features": ["dtype:f32", "layout:bhsd"]})"),
      "window.left has limits, but rule:window is not claimed");
}

TEST(DeadClaims, BuiltinTargetsHaveNone) {
  for (const BuiltinTarget& target : builtin_targets())
    EXPECT_EQ(dead_claims_of(target.open()->info().capabilities), std::vector<std::string>{})
        << target.name;
}

}  // namespace
}  // namespace attnfuzz
