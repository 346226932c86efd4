#include "fuzz/measure/tokens/tokens.h"

#include <gtest/gtest.h>

namespace attnfuzz::measure {
namespace {

/// A prefill of 5 and 3 tokens, and an append of 2 to each row.
Case ragged() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.head_dim = c.problem.head_dim_v = 4;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.cache = Cache{};
  c.steps.resize(2);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 5;
  c.steps[0].lens = {5, 3};
  c.steps[0].side = Side::left;
  c.steps[1].op = StepOp::append;
  c.steps[1].q_len = 2;
  return c;
}

TEST(Tokens, TellPaddingThatIsTakenLater) {
  const Plan plan = declared(ragged());
  const Forge forge(plan);
  const Weights want = expected(plan, forge, [](const Query&, const Key&) { return 0.0; });
  Weights got = want;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    if (query.step != 1 || query.b != 1) continue;
    constexpr size_t padding = 2;
    const double share = 1 / static_cast<double>(query.keys.size() + padding);
    for (const Key& key : query.keys) got.w[n * got.sources + key.source] = share;
    for (size_t s = 0; s < plan.sources.size(); ++s) {
      const Source& source = plan.sources[s];
      if (source.step == 0 && source.row == 1 && source.head == query.h && source.i < 2)
        got.w[n * got.sources + s] = share;
    }
  }
  TokenFacts facts(true);
  facts.add(plan, forge, got, want, 1e-5);
  const std::vector<Statement> all = facts.statements();
  ASSERT_FALSE(all.empty());
  EXPECT_NE(all[0].words.find("The padding of ragged steps is taken as tokens."), std::string::npos)
      << all[0].words;
  EXPECT_NE(all[0].words.find("exactly: padding in the row's steps before ≥ 2"), std::string::npos)
      << all[0].words;
  EXPECT_NE(all[0].words.find("0, 1 of the padding of row 1's steps"), std::string::npos)
      << all[0].words;
}

}  // namespace
}  // namespace attnfuzz::measure
