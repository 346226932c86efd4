// The targets for attention with a state: within the oracle's bounds, and the same whatever the
// chunks.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "oracle/answer.h"
#include "oracle/random_case.h"
#include "targets/target.h"

namespace attnfuzz {
namespace {

/// What is wrong with an outcome; empty if nothing.
std::string wrong(const Case& c, const Inputs& inputs, const Capabilities& can,
                  const Outcome& outcome) {
  if (outcome.status != Status::ok) return outcome.text;
  const Answer want = answer(c, inputs, can.precision_of(c.problem.dtype));
  if (outcome.steps.size() != want.steps.size()) return "steps";
  for (size_t n = 0; n < want.steps.size(); ++n) {
    const StepAnswer& right = want.steps[n];
    const StepOutput& got = outcome.steps[n];
    if (got.out.shape != right.shape) return fmt::format("step {}: shape", n);
    if (!got.lengths.empty() && got.lengths != right.lengths)
      return fmt::format("step {}: lengths", n);
    const std::vector<double> out = got.out.to_doubles();
    for (size_t k = 0; k < out.size(); ++k)
      if (!std::isinf(right.bound[k]) && !(std::abs(out[k] - right.out[k]) <= right.bound[k]))
        return fmt::format("step {} element {}: {} instead of {} ± {}", n, k, out[k], right.out[k],
                           right.bound[k]);
  }
  return {};
}

class LinearTargets : public ::testing::TestWithParam<const char*> {};

TEST_P(LinearTargets, StayWithinTheOraclesBound) {
  const auto target = open_target(GetParam());
  const Capabilities& can = target->info().capabilities;
  int judged = 0;
  EXPECT_TRUE(rc::check("random cases", [&] {
    for (int n = 0; n < 30; ++n) {
      Case c = testing::random_case();
      if (!c.problem.recurrent()) testing::make_recurrent(c);
      if (!can.rejection_reason(c).empty()) continue;
      const Inputs inputs = make_inputs(c);
      const std::string words = wrong(c, inputs, can, target->run(c, inputs));
      if (!words.empty()) RC_FAIL(one_line(c) + ": " + words);
      ++judged;
    }
  }));
  EXPECT_GT(judged, 400);
}

/// Around the chunk's and the block's edges.
TEST_P(LinearTargets, StayWithinTheBoundAcrossChunks) {
  const auto target = open_target(GetParam());
  const Capabilities& can = target->info().capabilities;
  for (size_t kind = 1; kind < names_of<ProblemKind>.size(); ++kind)
    for (const int64_t len : {15, 16, 17, 63, 64, 65, 130}) {
      Case c;
      Problem& p = c.problem;
      p.kind = static_cast<ProblemKind>(kind);
      p.batch = p.num_heads = 2;
      p.q_len = p.kv_len = len;
      p.head_dim = 5;
      p.head_dim_v = 3;
      p.mask.rules = {{find_rule("causal"), {}}};
      c.data.seed = static_cast<uint64_t>(len);
      const Inputs inputs = make_inputs(c);
      EXPECT_EQ(wrong(c, inputs, can, target->run(c, inputs)), "") << one_line(c);
    }
}

TEST_P(LinearTargets, DeclineSoftmax) {
  const auto target = open_target(GetParam());
  Case c;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  EXPECT_EQ(target->info().capabilities.rejection_reason(c), "kind:softmax is not supported");
  EXPECT_EQ(target->run(c, make_inputs(c)).status, Status::declined);
}

std::string test_name(const ::testing::TestParamInfo<const char*>& about) {
  return std::string(about.param).substr(sizeof "cpu:linear-" - 1);
}

INSTANTIATE_TEST_SUITE_P(, LinearTargets,
                         ::testing::Values("cpu:linear-recurrent", "cpu:linear-chunked"),
                         test_name);

}  // namespace
}  // namespace attnfuzz
