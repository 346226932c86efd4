#include "fuzz/measure/tokens/tokens.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

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

/// Causal attention with sinks, two query heads for each KV head.
Case with_sinks(int64_t len) {
  Case c;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = len;
  c.problem.head_dim = c.problem.head_dim_v = 4;
  c.problem.sinks = true;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  return c;
}

/// What is said where each query's sink adds `added` to its keys' sum.
std::string said_of_sinks(
    int64_t len,
    const std::function<double(const Query& query, const std::vector<double>& sinks)>& added) {
  const Plan plan = declared(with_sinks(len));
  const Forge forge(plan);
  std::vector<double> sinks;
  for (int64_t h = 0; h < plan.c.problem.num_heads; ++h) sinks.push_back(forge.sink(h));
  const Weights want = expected(plan, forge, [](const Query&, const Key&) { return 0.0; });
  Weights got = want;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    const double sum = static_cast<double>(query.keys.size()) + added(query, sinks);
    for (const Key& key : query.keys) got.w[n * got.sources + key.source] = 1 / sum;
  }
  TokenFacts facts(true);
  facts.add(plan, forge, got, want, 1e-5);
  const std::vector<Statement> all = facts.statements();
  return all.empty() ? "" : all[0].words;
}

TEST(Tokens, TellWhatSinksAdd) {
  constexpr int64_t len = 21, tile = 8;
  const auto own = [](const Query& query, const std::vector<double>& sinks) {
    return sinks[static_cast<size_t>(query.h)];
  };
  using Sinks = std::vector<double>;
  EXPECT_EQ(said_of_sinks(len, [&](const Query& q, const Sinks& s) { return std::exp(own(q, s)); }),
            "");
  const auto starts = [](const std::string& text, std::string_view with) {
    EXPECT_TRUE(text.starts_with(with)) << text;
  };
  starts(said_of_sinks(len, [](const Query&, const Sinks&) { return 0.0; }),
         "The softmax's denominator leaves out the sink");
  starts(said_of_sinks(len, [&](const Query& q, const Sinks& s) { return std::exp2(own(q, s)); }),
         "The sink adds 2^sink");
  starts(
      said_of_sinks(len, [](const Query& q,
                            const Sinks& s) { return std::exp(s[static_cast<size_t>(q.h / 2)]); }),
      "Each query head has the sink whose index is that of its KV head.");
  starts(said_of_sinks(len,
                       [&](const Query& q, const Sinks& s) {
                         return static_cast<double>((len + tile - 1) / tile) * std::exp(own(q, s));
                       }),
         "The sink is counted once for each tile of 8 keys that the row holds.");
  starts(said_of_sinks(len,
                       [&](const Query& q, const Sinks& s) {
                         return static_cast<double>(q.i / tile + 1) * std::exp(own(q, s));
                       }),
         "The sink is counted once for each tile of 8 keys that the query sees.");
  starts(
      said_of_sinks(len, [&](const Query& q, const Sinks& s) { return std::exp(own(q, s)) + 3; }),
      "Slots that hold zeros are counted as keys");
}

TEST(Tokens, TellWhichKeysCountTwice) {
  Case c = with_sinks(29);
  c.problem.sinks = false;
  const Plan plan = declared(c);
  const Forge forge(plan);
  const Weights want = expected(plan, forge, [](const Query&, const Key&) { return 0.0; });
  Weights got = want;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    const auto times = [](const Key& key) { return key.position >= 16 ? 2.0 : 1.0; };
    double sum = 0;
    for (const Key& key : query.keys) sum += times(key);
    for (const Key& key : query.keys) got.w[n * got.sources + key.source] = times(key) / sum;
  }
  TokenFacts facts(true);
  facts.add(plan, forge, got, want, 1e-5);
  const std::vector<Statement> all = facts.statements();
  ASSERT_FALSE(all.empty());
  EXPECT_TRUE(all[0].words.starts_with("Queries count keys twice: exactly those with key ≥ 16."))
      << all[0].words;
}

}  // namespace
}  // namespace attnfuzz::measure
