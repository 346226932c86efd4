#include "fuzz/measure/measure.h"

#include "fuzz/measure/tokens.h"

namespace attnfuzz::measure {
namespace {

/// The case with data on which nothing but the experiment's own numbers matters.
Case measured(Case c) {
  c.data.nonfinite = NonFinite::none;
  c.data.dist = Distribution::normal;
  return c;
}

/// The plan of a case whose bias tensor the experiment fills with zeros. What ALiBi adds is made by
/// the target and stays.
Plan plan_without_bias(const Case& c, Forge& forge) {
  Plan plan = declared(c);
  if (c.problem.mask.find("alibi") != nullptr) return plan;
  forge.fill("bias", 0);
  for (Query& query : plan.queries)
    for (Key& key : query.keys) key.bias = 0;
  return plan;
}

void measure_tokens(Target& target, const Case& c, Budget& budget, TokenFacts& facts) {
  const Plan whole = declared(c);
  Forge forge(whole);
  const Plan plan = plan_without_bias(c, forge);
  forge.queries([](int32_t, int64_t, int64_t, int64_t, std::span<double>) {});
  const std::optional<Weights> got = weigh(target, plan, forge, budget);
  if (!got) return;
  const Weights want = expected(plan, forge, [](const Query&, const Key&) { return 0.0; });
  facts.add(plan, forge, *got, want,
            weight_error(c, target.info().capabilities.precision_of(c.problem.dtype)));
}

}  // namespace

Measurement measure(Target& target, std::span<const Case> cases, Budget& budget) {
  Measurement all;
  TokenFacts tokens;
  for (const Case& each : cases) {
    const Case c = measured(each);
    if (c.problem.recurrent() || !target.info().capabilities.why_not(c).empty()) continue;
    measure_tokens(target, c, budget, tokens);
    ++all.cases;
  }
  for (Statement& each : tokens.statements()) all.statements.push_back(std::move(each));
  all.runs = budget.used();
  all.seconds = budget.elapsed();
  return all;
}

}  // namespace attnfuzz::measure
