#include "fuzz/side_by_side.h"

#include <gtest/gtest.h>

#include "fuzz/testing.h"

namespace attnfuzz {
namespace {

using testing::FunctionTarget;

constexpr std::string_view claims = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 9],
            "kv_len": [1, 9], "head_dim": [1, 8], "head_dim_v": [1, 8]},
  "features": ["dtype:f32", "layout:bhsd", "rule:causal", "align:top_left", "cross"]})";

/// cpu:naive, and then what `change` makes of it.
std::unique_ptr<Target> changed(std::function<void(const Case&, Outcome&)> change) {
  std::shared_ptr<Target> naive = open_target("cpu:naive");
  return std::make_unique<FunctionTarget>(
      claims, [naive, change = std::move(change)](const Case& c, const Inputs& inputs) {
        Outcome outcome = naive->run(c, inputs);
        change(c, outcome);
        return outcome;
      });
}

Case of_sizes(int64_t batch, int64_t len) {
  Case c;
  c.problem.batch = batch;
  c.problem.q_len = c.problem.kv_len = len;
  c.problem.head_dim = c.problem.head_dim_v = 4;
  return c;
}

void add_to_first(Outcome& outcome, float added) {
  outcome.steps[0].out.as<float>()[0] += added;
}

TEST(SideBySide, TellsHowFarTwoAgree) {
  const auto right = changed([](const Case&, Outcome&) {});
  const Case c = of_sizes(2, 5);
  EXPECT_EQ(run_both(*right, *right, c).agreement, Agreement::same_bits);

  const auto close = changed([](const Case&, Outcome& outcome) { add_to_first(outcome, 1e-7F); });
  const SideBySide near = run_both(*right, *close, c);
  EXPECT_EQ(near.agreement, Agreement::within_bounds) << near.detail;
  EXPECT_GT(near.worst_ratio, 0);
  EXPECT_LE(near.worst_ratio, 1);

  const auto wrong = changed([](const Case&, Outcome& outcome) { add_to_first(outcome, 0.5F); });
  const SideBySide far = run_both(*right, *wrong, c);
  EXPECT_EQ(far.agreement, Agreement::differ);
  EXPECT_FALSE(far.first.failed());
  EXPECT_TRUE(far.second.failed());
  EXPECT_NE(far.detail.find("out[b=0, h=0, i=0, d=0]"), std::string::npos) << far.detail;
  // Both wrong in the same way: they agree.
  EXPECT_EQ(run_both(*wrong, *wrong, c).agreement, Agreement::same_bits);
}

TEST(SideBySide, ComparesErrorsShapesAndDeclines) {
  const auto right = changed([](const Case&, Outcome&) {});
  const auto ends = [](Status status, const char* text) {
    return changed([=](const Case&, Outcome& outcome) { outcome = {status, text, {}}; });
  };
  const auto raises = ends(Status::error, "no"), raises_too = ends(Status::error, "not at all");
  const auto declines = ends(Status::declined, "too large");
  const Case c = of_sizes(1, 2);
  EXPECT_EQ(run_both(*right, *raises, c).agreement, Agreement::differ);
  EXPECT_EQ(run_both(*raises, *raises, c).agreement, Agreement::same_bits);
  EXPECT_EQ(run_both(*raises, *raises_too, c).agreement, Agreement::within_bounds);
  EXPECT_EQ(run_both(*right, *declines, c).agreement, Agreement::skipped);
  const auto flat = changed([](const Case&, Outcome& outcome) {
    Tensor& out = outcome.steps[0].out;
    out.shape = {out.size()};
  });
  EXPECT_EQ(run_both(*right, *flat, c).agreement, Agreement::differ);
  EXPECT_EQ(run_both(*flat, *flat, c).agreement, Agreement::same_bits);
}

TEST(SideBySide, ShrinksToTheLeastCaseOnWhichTheyDiffer) {
  const auto right = changed([](const Case&, Outcome&) {});
  const auto wrong = changed([](const Case& c, Outcome& outcome) {
    if (c.problem.kv_len >= 3 && c.problem.batch >= 2) add_to_first(outcome, 9);
  });
  const Case c = of_sizes(4, 8);
  const SideBySide found = run_both(*right, *wrong, c);
  const Shrunk shrunk = shrink_difference(*right, *wrong, c, found, 10000);
  EXPECT_TRUE(shrunk.minimal);
  EXPECT_EQ(shrunk.c.problem.kv_len, 3);
  EXPECT_EQ(shrunk.c.problem.batch, 2);
  EXPECT_EQ(shrunk.c.problem.head_dim, 1);
  EXPECT_TRUE(is_like(run_both(*right, *wrong, shrunk.c), found));
}

TEST(SideBySide, CommonCapabilitiesAreThoseOfBoth) {
  const Capabilities first = parse_capabilities(claims, "first");
  const Capabilities second = parse_capabilities(
      R"({"sizes": {"batch": [2, 9], "head_dim": [4, 64, 4], "q_len": [1, 5]},
          "features": ["dtype:f32", "dtype:f16", "layout:bhsd", "rule:window"], "max_rules": 1})",
      "second");
  const Capabilities both = common_capabilities(first, second);
  EXPECT_EQ(both.sizes.at("batch").min, 2);
  EXPECT_EQ(both.sizes.at("batch").max, 4);
  EXPECT_EQ(both.sizes.at("head_dim").multiple_of, 4);
  EXPECT_EQ(both.features, (std::vector<std::string>{"dtype:f32", "layout:bhsd"}));
  EXPECT_EQ(both.max_rules, 1);
}

}  // namespace
}  // namespace attnfuzz
