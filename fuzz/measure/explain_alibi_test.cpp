#include <gtest/gtest.h>

#include <array>

#include "fuzz/faults/fault.h"
#include "fuzz/measure/measure.h"
#include "fuzz/testing.h"
#include "oracle/inputs.h"
#include "oracle/test_cases.h"

namespace attnfuzz::measure {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 2], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 20],
            "kv_len": [1, 20], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "head_dim_v", "rule:causal", "rule:alibi"],
  "equal": [["q_len", "kv_len"]]
})";

/// What is said of a target with a fault; nullptr: with none.
std::string said(const Fault* fault) {
  FunctionTarget target(capabilities, [fault](const Case& c, const Inputs& inputs) {
    std::optional<Answer> answered;
    if (fault != nullptr) answered = faulty_answer(*fault, c, inputs, {});
    if (!answered) answered = answer(c, inputs, Precision{});
    const StepAnswer& step = answered->steps[0];
    return Outcome{
        Status::ok, "", {{Tensor::from_doubles(c.problem.dtype, step.shape, step.out), {}}}};
  });
  Case c;
  c.problem.num_heads = 6;
  c.problem.num_kv_heads = 3;
  c.problem.q_len = c.problem.kv_len = 9;
  c.problem.head_dim = c.problem.head_dim_v = 8;
  c.problem.mask.rules = {attnfuzz::testing::use("causal"), attnfuzz::testing::use("alibi")};
  EXPECT_EQ(target.info().capabilities.rejection_reason(c), "");
  Budget budget(2000, 60);
  const std::vector<Statement> all = measure(target, std::array{c}, budget).statements;
  return all.empty() ? "" : all.front().words;
}

TEST(Alibi, ItsSlopesAreTold) {
  EXPECT_EQ(said(nullptr), "");
  for (const auto& [fault, words] :
       {std::pair{"alibi-published-slopes", "as published"},
        {"alibi-slopes-from-zero", "they begin with 1"},
        {"alibi-slopes-of-kv-heads", "those of the KV heads, counted over num_kv_heads"}}) {
    const std::string seen = said(find_fault(fault));
    EXPECT_NE(seen.find("ALiBi's slopes are"), std::string::npos) << fault << ": " << seen;
    EXPECT_NE(seen.find(words), std::string::npos) << fault << ": " << seen;
  }
}

}  // namespace
}  // namespace attnfuzz::measure
