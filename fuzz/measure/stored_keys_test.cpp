#include "fuzz/measure/stored_keys.h"

#include <gtest/gtest.h>

#include "fuzz/faults/fault.h"
#include "fuzz/testing.h"
#include "oracle/inputs.h"

namespace attnfuzz::measure {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 2], "num_heads": [1, 4], "num_kv_heads": [1, 4], "head_dim": [1, 8],
            "head_dim_v": [1, 8], "q_len": [1, 8], "kv_len": [1, 20], "steps": [1, 3]},
  "features": ["dtype:f32", "layout:bhsd", "rule:causal", "gqa", "mqa", "cache:dynamic",
               "step:prefill", "step:append", "step:decode", "quant:int8", "scales:token"]
})";

/// A prefill of five tokens, and a decode.
Case quantised() {
  Case c;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.head_dim = 4;
  c.problem.head_dim_v = 6;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.cache = Cache{};
  c.cache->quant = Quant::int8;
  c.steps.resize(2);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 5;
  c.steps[1].op = StepOp::decode;
  c.steps[1].q_len = 1;
  return c;
}

/// What is said of a target that keeps keys as `kept` says.
std::string said(const std::function<Case(Case)>& kept) {
  FunctionTarget target(capabilities, [kept](const Case& c, const Inputs& inputs) {
    const Answer all = answer(kept(c), inputs, Precision{});
    std::vector<StepOutput> steps;
    for (const StepAnswer& step : all.steps)
      steps.push_back({Tensor::from_doubles(c.problem.dtype, step.shape, step.out), {}});
    return Outcome{Status::ok, "", steps};
  });
  const Case c = quantised();
  Budget budget(200, 60);
  StoredKeys facts;
  facts.measure(target, c, budget);
  const std::vector<Statement> statements = facts.statements();
  return statements.empty() ? "" : statements.front().words;
}

TEST(StoredKeys, SayNothingOfWhatIsRight) {
  EXPECT_EQ(said([](const Case& c) { return c; }), "");
}

TEST(StoredKeys, TellKeysThatAreNotQuantised) {
  const std::string words = said([](Case c) {
    c.cache->quant = Quant::none;
    return c;
  });
  EXPECT_NE(words.find("keys are not quantised"), std::string::npos) << words;
}

}  // namespace
}  // namespace attnfuzz::measure
