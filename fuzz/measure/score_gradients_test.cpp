#include "fuzz/measure/score_gradients.h"

#include <gtest/gtest.h>

#include "fuzz/faults/fault.h"
#include "fuzz/testing.h"
#include "oracle/test_cases.h"

namespace attnfuzz::measure {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 20],
            "kv_len": [1, 40], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "head_dim_v", "rule:causal",
               "align:bottom_right", "fully_masked:zero", "dq", "dk", "dv"]
})";

Case with_gradients() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = 5;
  c.problem.kv_len = 7;
  c.problem.head_dim = 8;
  c.problem.head_dim_v = 6;
  c.problem.mask.align = Align::bottom_right;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.problem.outputs = {Output::out, Output::dq, Output::dk, Output::dv};
  return c;
}

/// Gives a fault's answer; the right one for nullptr.
FunctionTarget faulty(const Fault* fault) {
  return FunctionTarget(capabilities, [fault](const Case& c, const Inputs& inputs) {
    std::optional<Answer> answered;
    if (fault != nullptr) answered = faulty_answer(*fault, c, inputs, {});
    if (!answered) answered = answer(c, inputs, Precision{});
    const StepAnswer& step = answered->steps[0];
    StepOutput given{Tensor::from_doubles(c.problem.dtype, step.shape, step.out)};
    for (const MoreAnswer& more : step.more)
      given.more[more.output] = Tensor::from_doubles(c.problem.dtype, more.shape, more.values);
    return Outcome{Status::ok, "", {given}};
  });
}

std::vector<Statement> measured(FunctionTarget target) {
  Budget budget(2000, 60);
  ScoreGradientFacts facts;
  facts.measure(target, with_gradients(), budget);
  return facts.statements();
}

TEST(ScoreGradients, SayNothingOfWhatIsRight) {
  EXPECT_TRUE(measured(faulty(nullptr)).empty());
}

TEST(ScoreGradients, SayNothingOfWhatIsRightWithABias) {
  Case c = with_gradients();
  c.problem.mask.rules.push_back(attnfuzz::testing::use("bias", {int64_t{0}}));
  const std::unique_ptr<Target> target = open_target("cpu:naive");  // it reads the tensor
  EXPECT_EQ(target->info().capabilities.rejection_reason(c), "");
  Budget budget(2000, 60);
  ScoreGradientFacts facts;
  facts.measure(*target, c, budget);
  EXPECT_TRUE(facts.statements().empty());
}

TEST(ScoreGradients, TellARowSumThatIsLeftOut) {
  const std::vector<Statement> said = measured(faulty(find_fault("grad-without-row-dot")));
  ASSERT_EQ(said.size(), 2U);
  EXPECT_NE(said[0].words.find("In dq, rowsum(grad_out ∘ out) is not subtracted"),
            std::string::npos)
      << said[0].words;
  EXPECT_NE(said[1].words.find("In dk, rowsum(grad_out ∘ out) is not subtracted"),
            std::string::npos)
      << said[1].words;
}

TEST(ScoreGradients, TellPairsThatAreLeftOut) {
  const std::vector<Statement> said = measured(faulty(find_fault("grad-first-head-of-group")));
  ASSERT_FALSE(said.empty());
  EXPECT_NE(said[0].words.find("In dk, the pairs of a query and a key are left out that have query "
                               "head within its group = 1"),
            std::string::npos)
      << said[0].words;
}

}  // namespace
}  // namespace attnfuzz::measure
