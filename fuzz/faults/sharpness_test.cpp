// No fault of the arithmetic can hide inside the bound, even where the output is rounded.
#include <gtest/gtest.h>

#include <cmath>

#include "fuzz/faults/fault.h"
#include "fuzz/faults/rewrite.h"
#include "oracle/test_cases.h"

namespace attnfuzz {
namespace {

constexpr Precision single{DType::f32, DType::f32, 2, {}, false};

/// A case on which every fault of the backward pass makes a difference.
Case telling_case(DType dtype) {
  Case c;
  Problem& p = c.problem;
  p.batch = 2;
  p.num_heads = 6;
  p.num_kv_heads = 3;
  p.q_len = 9;
  p.kv_len = 11;
  p.head_dim = 8;
  p.head_dim_v = 10;
  p.dtype = dtype;
  p.softcap = 2;
  p.sinks = true;
  p.memory_kv = 2;
  p.dropout_keep = 80;
  p.mask.align = Align::bottom_right;
  p.mask.rules = {testing::use("causal"), testing::use("bias", {int64_t{3}})};
  p.outputs = {Output::out,   Output::lse,    Output::dq,     Output::dk,    Output::dv,
               Output::dbias, Output::dsinks, Output::dmem_k, Output::dmem_v};
  return c;
}

int64_t outside(const StepAnswer& right, const StepAnswer& wrong) {
  int64_t count = 0;
  for (size_t n = 0; n < right.out.size(); ++n)
    count += std::abs(wrong.out[n] - right.out[n]) > right.bound[n];
  for (size_t k = 0; k < right.more.size(); ++k) {
    const MoreAnswer &a = right.more[k], &b = wrong.more[k];
    for (size_t n = 0; n < a.values.size(); ++n)
      count += std::abs(b.values[n] - a.values[n]) > a.bound[n];
  }
  return count;
}

TEST(Faults, OfTheBackwardPassAreOutsideTheBound) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Case c = telling_case(dtype);
    const Inputs inputs = make_inputs(c);
    const Answer right = answer(c, inputs, single);
    for (const Fault& each : fault::backward()) {
      const std::optional<Answer> wrong = faulty_answer(each, c, inputs, single);
      ASSERT_TRUE(wrong) << each.name;
      EXPECT_GT(outside(right.steps[0], wrong->steps[0]), 3) << each.name << " in " << name(dtype);
    }
  }
}

Case recurrent(ProblemKind kind, int64_t len, int64_t dim, int64_t batch) {
  Case c;
  Problem& p = c.problem;
  p.kind = kind;
  p.batch = batch;
  p.q_len = p.kv_len = len;
  p.head_dim = p.head_dim_v = dim;
  p.mask.rules = {testing::use("causal")};
  return c;
}

double share_outside(const Case& c, std::string_view name) {
  const Inputs inputs = make_inputs(c);
  const StepAnswer right = answer(c, inputs, Precision{}).steps[0];
  const Answer wrong = faulty_answer(*find_fault(name), c, inputs, Precision{}).value();
  return static_cast<double>(outside(right, wrong.steps[0])) /
         static_cast<double>(right.out.size());
}

TEST(Faults, OfOneTokenOfAStateAreOutsideTheBound) {
  for (size_t k = 1; k < names_of<ProblemKind>.size(); ++k)
    for (const int64_t len : {3, 12, 40})
      EXPECT_GT(
          share_outside(recurrent(static_cast<ProblemKind>(k), len, 16, 3), "state-before-token"),
          0.9)
          << names_of<ProblemKind>[k] << " " << len;
}

TEST(Faults, OfOneDecayAreOutsideTheBound) {
  for (const ProblemKind kind : {ProblemKind::linear, ProblemKind::ssd, ProblemKind::gated_delta})
    EXPECT_GT(share_outside(recurrent(kind, 18, 16, 8), "chunk-16-decay-missing"), 0.05)
        << name(kind);  // the last two of eighteen queries
}

}  // namespace
}  // namespace attnfuzz
