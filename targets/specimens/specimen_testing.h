#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "oracle/answer.h"
#include "targets/target.h"

/// What the specimens' tests share.
namespace attnfuzz::testing {

/// A case of the sizes that the reports speak of: two rows of eight tokens, four heads on two.
inline Case documented_case() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = 8;
  c.problem.head_dim = c.problem.head_dim_v = 16;
  c.problem.fully_masked = FullyMasked::uniform;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.data.seed = 7;
  return c;
}

inline Step tokens(StepOp op, int64_t q_len) {
  Step step;
  step.op = op;
  step.q_len = q_len;
  return step;
}

/// The same, fed to a cache: five tokens, then one, then one more.
inline Case documented_cached_case(CacheKind kind) {
  Case c = documented_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache = Cache{kind, kind == CacheKind::dynamic ? 0 : 12, 0};
  c.steps = {tokens(StepOp::prefill, 5), tokens(StepOp::decode, 1), tokens(StepOp::decode, 1)};
  return c;
}

inline void add_rule(Case& c, std::string_view rule, std::vector<ParamValue> values) {
  c.problem.mask.rules.push_back({find_rule(rule), std::move(values)});
}

/// Runs a case that the target must claim.
inline Outcome run(const std::string& target, const Case& c) {
  const std::unique_ptr<Target> opened = open_target(target);
  check(c);
  EXPECT_EQ(opened->info().capabilities.rejection_reason(c), "") << one_line(c);
  return opened->run(c, make_inputs(c));
}

/// Empty if every element is within its bound and every length that is told right; else the first
/// that is not.
inline std::string what_is_wrong(const Case& c, const Outcome& outcome,
                                 const Precision& precision = {}) {
  if (outcome.status != Status::ok) return outcome.text;
  const Answer right = answer(c, make_inputs(c), precision);
  if (outcome.steps.size() != right.steps.size()) return "number of steps";
  for (size_t s = 0; s < right.steps.size(); ++s) {
    const StepAnswer& want = right.steps[s];
    const std::vector<int64_t>& lengths = outcome.steps[s].lengths;
    if (!lengths.empty() && lengths != want.lengths) return "lengths";
    if (outcome.steps[s].out.shape != want.shape) return "shape";
    if (want.shape.empty()) continue;  // the step brings no tokens
    const std::vector<double> got = outcome.steps[s].out.to_doubles();
    for (size_t i = 0; i < got.size(); ++i)
      if (!std::isinf(want.bound[i]) && !(std::abs(got[i] - want.out[i]) <= want.bound[i]))
        return "step " + std::to_string(s) + " element " + std::to_string(i);
  }
  return {};
}

}  // namespace attnfuzz::testing
