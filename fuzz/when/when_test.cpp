#include "fuzz/when/when.h"

#include <gtest/gtest.h>

#include "fuzz/generate.h"
#include "fuzz/testing.h"

namespace attnfuzz::when {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 3], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 12],
            "kv_len": [1, 24], "head_dim": [1, 8], "head_dim_v": [1, 8]},
  "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q",
               "head_dim_v", "scale", "rule:causal", "align:top_left", "fully_masked:zero"]
})";

/// Takes twice the scale where `is_bad` says so.
FunctionTarget scaled(std::function<bool(const Case&)> is_bad) {
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  return FunctionTarget(capabilities, [naive, is_bad](const Case& c, const Inputs& inputs) {
    Case other = c;
    if (is_bad(c)) other.problem.scale = 2 * c.problem.scale_value();
    return naive->run(other, inputs);
  });
}

std::optional<Finding> first_finding(Target& target) {
  std::optional<Finding> first;
  CampaignOptions options;
  options.seed = 1;
  options.cases = 400;
  options.stop_after = 1;
  options.max_diagnose = 0;
  run_campaign(target, options, {{}, [&](const Finding& finding) { first = finding; }});
  return first;
}

/// What is said of when the target's first finding happens; empty: nothing.
std::string condition_of(Target& target) {
  std::optional<Finding> finding = first_finding(target);
  if (!finding) return "no finding";
  constexpr double seconds = 20;
  measure_condition(target, *finding, seconds);
  return finding->measured.empty() ? "" : finding->measured.back().words;
}

TEST(When, TellsAThresholdAndAnOption) {
  FunctionTarget target = scaled(
      [](const Case& c) { return c.problem.layout == Layout::bshd && c.problem.kv_len >= 7; });
  const std::string words = condition_of(target);
  EXPECT_NE(words.find("layout:bshd"), std::string::npos) << words;
  EXPECT_NE(words.find("kv_len ≥ 7"), std::string::npos) << words;
}

TEST(When, TellsWhichOfTwoSizesIsLarger) {
  FunctionTarget target =
      scaled([](const Case& c) { return c.problem.head_dim_v > c.problem.head_dim; });
  const std::string words = condition_of(target);
  EXPECT_NE(words.find("head_dim_v > head_dim"), std::string::npos) << words;
}

TEST(When, TellsWhenAnErrorIsRaised) {
  const std::unique_ptr<Target> target = attnfuzz::testing::failing([](const Case& c) {
    return c.problem.kv_len % 8 == 0 && c.problem.q_len > 1 ? "no kernel for this shape" : "";
  });
  const std::string words = condition_of(*target);
  EXPECT_NE(words.find("kv_len mod 8 = 0"), std::string::npos) << words;
  EXPECT_NE(words.find("q_len ≥ 2"), std::string::npos) << words;
}

TEST(When, SaysNothingWhereNoConditionHolds) {
  FunctionTarget target = scaled([](const Case& c) { return c.data.seed % 3 == 0; });
  EXPECT_EQ(condition_of(target), "");
}

}  // namespace
}  // namespace attnfuzz::when
