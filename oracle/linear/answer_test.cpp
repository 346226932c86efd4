// That the parallel form is the recurrence is shown by oracle/independent; here: small cases by
// hand, and how sharp the bounds are.
#include "oracle/linear/answer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "oracle/linear/kinds.h"

namespace attnfuzz {
namespace {

Case sized(ProblemKind kind, int64_t len, int64_t dim) {
  Case c;
  Problem& p = c.problem;
  p.kind = kind;
  p.q_len = p.kv_len = len;
  p.head_dim = p.head_dim_v = dim;
  p.mask.rules = {{find_rule("causal"), {}}};
  return c;
}

/// Two tokens of one element each; k is 3 and 5, v 7 and 11, q 1 and 2.
std::vector<double> by_hand(ProblemKind kind) {
  Case c = sized(kind, 2, 1);
  c.problem.dtype = DType::f64;
  c.problem.scale = 10;
  Inputs inputs;
  const auto add = [&](const char* name, Shape shape, std::vector<double> values) {
    inputs.add(name, Tensor::from_doubles(DType::f64, std::move(shape), values));
  };
  add("q", {1, 1, 2, 1}, {1, 2});
  add("k", {1, 1, 2, 1}, {3, 5});
  add("v", {1, 1, 2, 1}, {7, 11});
  add("gate", traits(kind).gate == Gate::key ? Shape{1, 1, 2, 1} : Shape{1, 1, 2},
      {-100, std::log(0.5)});
  add("beta", {1, 1, 2}, {0.5, 0.25});
  return answer(c, inputs).steps[0].out;
}

TEST(RecurrentAnswer, ByHand) {
  struct Row {
    ProblemKind kind;
    double first, second;  // of the state
  };
  // delta: u_1 = 0.5 · 7, u_2 = 0.25 · (11 − 5 · decay · 3 u_1).
  const Row rows[] = {{ProblemKind::linear, 21, 10.5 + 55},
                      {ProblemKind::ssd, 21, 10.5 + 55},
                      {ProblemKind::retnet, 21, 21 * (1 - 1.0 / 32) + 55},
                      {ProblemKind::delta, 10.5, 10.5 + 5 * 0.25 * (11 - 52.5)},
                      {ProblemKind::gated_delta, 10.5, 5.25 + 5 * 0.25 * (11 - 26.25)}};
  for (const Row& row : rows) {
    const std::vector<double> out = by_hand(row.kind);
    ASSERT_EQ(out.size(), 2U);
    EXPECT_NEAR(out[0], 10 * row.first, 1e-11) << name(row.kind);
    EXPECT_NEAR(out[1], 20 * row.second, 1e-11) << name(row.kind);
  }
}

TEST(RecurrentAnswer, WhatMayOverflowIsUnchecked) {
  Case c = sized(ProblemKind::ssd, 4, 2);
  c.data.dist = Distribution::large;
  Precision narrow;
  narrow.accumulate = narrow.p = DType::e4m3;
  const std::vector<double> bounds = answer(c, make_inputs(c), narrow).steps[0].bound;
  for (const double bound : bounds) EXPECT_EQ(bound, std::numeric_limits<double>::infinity());
}

TEST(RecurrentAnswer, ADocumentBeginsWithAnEmptyState) {
  Case whole = sized(ProblemKind::gated_delta, 5, 3);
  whole.problem.mask.rules.push_back({find_rule("documents"), {std::vector<int64_t>{5}}});
  Case split = whole;
  split.problem.mask.rules[1].values[0] = std::vector<int64_t>{2, 3};
  const Inputs inputs = make_inputs(whole);
  const std::vector<double> a = answer(whole, inputs).steps[0].out;
  const std::vector<double> b = answer(split, inputs).steps[0].out;
  for (size_t n = 0; n < a.size(); ++n) EXPECT_EQ(a[n] == b[n], n < 6) << n;
}

}  // namespace
}  // namespace attnfuzz
