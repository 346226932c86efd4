#include "targets/specimens/specimen_testing.h"

namespace attnfuzz {
namespace {

using namespace testing;

/// Row 0 padded by three tokens on the left, so that its first three queries see nothing.
Case left_padded() {
  Case c = documented_case();
  c.problem.fully_masked = FullyMasked::zero;
  add_rule(c, "padding", {int64_t{0}, std::vector<int64_t>{5, 8}});
  return c;
}

TEST(SdpaFullyMaskedNan, NanInRowsThatSeeNothingAndNowhereElse) {
  const Case c = left_padded();
  const Outcome outcome = run("specimen:sdpa-fully-masked-nan", c);
  ASSERT_EQ(outcome.steps.size(), 1U);
  const std::vector<double> out = outcome.steps[0].out.to_doubles();
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t query = i / 16 % 8, row = i / (16 * 8 * 4);
    EXPECT_EQ(std::isnan(out[i]), row == 0 && query < 3) << i;
  }
  EXPECT_EQ(what_is_wrong(c, run("fixed:sdpa-fully-masked-nan", c)), "");
}

TEST(SdpaFullyMaskedNan, RightWhereEveryRowSeesAKey) {
  Case c = documented_case();
  add_rule(c, "padding", {int64_t{1}, std::vector<int64_t>{5, 8}});
  EXPECT_EQ(what_is_wrong(c, run("specimen:sdpa-fully-masked-nan", c)), "");
}

TEST(SdpaMaskedNanLeaks, HiddenNanReachesTheOutput) {
  for (const NonFinite content : {NonFinite::nan_padding, NonFinite::inf_padding}) {
    Case c = left_padded();
    c.data.nonfinite = content;
    EXPECT_NE(what_is_wrong(c, run("specimen:sdpa-masked-nan-leaks", c)), "");
    EXPECT_EQ(what_is_wrong(c, run("fixed:sdpa-masked-nan-leaks", c)), "");
  }
}

TEST(SdpaMaskedNanLeaks, RightWhereTheHiddenIsFinite) {
  EXPECT_EQ(what_is_wrong(left_padded(), run("specimen:sdpa-masked-nan-leaks", left_padded())), "");
}

TEST(SdpaCausalTopLeft, DecodedTokensSeeTheFirstKeyAlone) {
  Case c = documented_cached_case(CacheKind::dynamic);
  const Outcome outcome = run("specimen:sdpa-causal-top-left", c);
  ASSERT_EQ(outcome.steps.size(), 3U);
  EXPECT_EQ(outcome.steps[1].out.bytes, outcome.steps[2].out.bytes);  // the same vector each step
  EXPECT_EQ(what_is_wrong(c, outcome).substr(0, 6), "step 1");
  EXPECT_EQ(what_is_wrong(c, run("fixed:sdpa-causal-top-left", c)), "");
  c.steps.resize(1);
  EXPECT_EQ(what_is_wrong(c, run("specimen:sdpa-causal-top-left", c)), "");
}

}  // namespace
}  // namespace attnfuzz
