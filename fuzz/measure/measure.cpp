#include "fuzz/measure/measure.h"

#include <cmath>

#include "fuzz/measure/addresses.h"
#include "fuzz/measure/factors.h"
#include "fuzz/measure/gradients.h"
#include "fuzz/measure/levels.h"
#include "fuzz/measure/lse_used.h"
#include "fuzz/measure/places.h"
#include "fuzz/measure/rope_angles.h"
#include "fuzz/measure/score_gradients.h"
#include "fuzz/measure/scores.h"
#include "fuzz/measure/states.h"
#include "fuzz/measure/storage.h"
#include "fuzz/measure/stored_keys.h"
#include "fuzz/measure/tokens/tokens.h"
#include "oracle/given.h"

namespace attnfuzz::measure {
namespace {

/// The case with data on which nothing but the experiment's own numbers
/// matters.
Case measured(Case c) {
  // Batch rows that share their keys' memory cannot hold what tells them apart.
  if (c.problem.strides == Strides::shared) c.problem.strides = Strides::dense;
  if (c.data.given != nullptr) return with_generated_data(std::move(c));
  c.data.nonfinite = NonFinite::none;
  c.data.dist = Distribution::normal;
  return c;
}

/// The plan of a case whose bias tensor the experiment fills with zeros. What
/// ALiBi adds is made by the target and stays.
Plan plan_without_bias(const Case& c, Forge& forge) {
  Plan plan = declared(c);
  if (c.problem.mask.find("alibi") != nullptr) return plan;
  forge.fill("bias", 0);
  for (Query& query : plan.queries)
    for (Key& key : query.keys) key.bias = 0;
  return plan;
}

/// One way to see weights: through out, or through the gradients.
struct Pass {
  std::string_view words;  ///< before its statements
  std::optional<Weights> (*weigh)(Target&, const Plan&, Forge&, Budget&);
  TokenFacts tokens;
  ScoreFacts scores;
};

/// With all scores equal. Whether the tokens are right.
bool measure_tokens(Target& target, const Case& c, Budget& budget, Pass& pass) {
  const Plan whole = declared(c);
  Forge forge(whole);
  const Plan plan = plan_without_bias(c, forge);
  forge.queries([](int32_t, int64_t, int64_t, int64_t, std::span<double>) {});
  const std::optional<Weights> got = pass.weigh(target, plan, forge, budget);
  if (!got) return false;
  const Weights want = expected(plan, forge, [](const Query&, const Key&) { return 0.0; });
  return pass.tokens.add(plan, forge, *got, want,
                         weight_error(c, target.info().capabilities.precision_of(c.problem.dtype)));
}

/// With random q and k, whose scores spread over about so much. Whether the weights are right.
bool measure_scores(Target& target, const Case& c, double spread, bool bias, Budget& budget,
                    Pass& pass) {
  Scored scored;
  const Plan whole = declared(c);
  Forge forge(whole);
  scored.plan = std::make_unique<const Plan>(bias ? whole : plan_without_bias(c, forge));
  const Plan& plan = *scored.plan;
  scored.vectors = std::make_unique<const Vectors>(plan, c.data.seed, spread);
  scored.vectors->put(forge);
  for (int64_t h = 0; h < c.problem.num_heads; ++h) scored.sinks.push_back(forge.sink(h));
  std::optional<Weights> got = pass.weigh(target, plan, forge, budget);
  if (!got) return true;
  scored.got = std::move(*got);
  scored.want = expected(plan, forge, [&](const Query& query, const Key& key) {
    return scored.vectors->score(query, key);
  });
  scored.error = weight_error(c, target.info().capabilities.precision_of(c.problem.dtype));
  return pass.scores.add(std::move(scored));
}

void measure_pass(Target& target, const Case& c, Budget& budget, Pass& pass) {
  // Where the right tokens are taken with wrong weights, scores may tell why.
  if (!measure_tokens(target, c, budget, pass) && pass.tokens.differs_in_tokens()) return;
  // A quantised cache rounds keys too far for scores to be told apart.
  if (c.cached() && c.cache->quant != Quant::none) return;
  for (const double spread : {1.0, 5.0})
    if (!measure_scores(target, c, spread, false, budget, pass)) break;
  // What takes a softcap's place shows over scores that it bends, as far as q can be as large.
  const Problem& p = c.problem;
  const double bent = 1.5 * p.softcap;
  const double largest_q = 3 * bent / (std::abs(p.scale_value()) * std::sqrt(p.head_dim));
  constexpr double most_q = 1e4;
  if (bent > 0 && largest_q < most_q) measure_scores(target, c, bent, false, budget, pass);
}

void say(std::vector<Statement> statements, std::string_view before, std::vector<Statement>& to) {
  for (Statement& each : statements) {
    if (each.about != "picture") each.words.insert(0, before);
    to.push_back(std::move(each));
  }
}

}  // namespace

/// All that is seen of a target, case by case.
struct Measuring::Facts {
  Pass forward{"", weigh, TokenFacts(true), {}},
      backward{"In the backward pass (dv): ", weigh_backward, TokenFacts(false), {}};
  StateFacts states;
  AddressFacts addresses;
  GradientFacts gradients;
  LseFacts lse{LseFacts::Of::used}, lse_out{LseFacts::Of::returned};
  ScoreGradientFacts score_gradients;
  FactorFacts factors;
  RopeAngles angles;
  StorageFacts storage;
  StoredKeys stored_keys;
  std::vector<Statement> of_first;  ///< of the first case alone

  void add(Target& target, const Case& as_found, bool is_first, Budget& budget);
  void add_gradients(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  bool is_right_forward() const { return !forward.tokens.differs() && !forward.scores.differs(); }
};

void Measuring::Facts::add(Target& target, const Case& as_found, bool is_first, Budget& budget) {
  const Case c = measured(as_found);
  if (c.problem.recurrent()) {
    states.measure(target, c, budget);
    return;
  }
  const std::optional<OwnRun> own = run_on_own_data(target, as_found, budget);
  if (own) factors.add(as_found, *own);
  storage.measure(target, c, budget);
  stored_keys.measure(target, c, budget);
  measure_pass(target, c, budget, forward);
  if (forward.scores.differs() && !forward.tokens.differs()) angles.measure(target, c, budget);
  if (!forward.scores.differs()) addresses.measure(target, c, budget);
  if (!forward.scores.differs() && c.problem.mask.find("bias") != nullptr &&
      addresses.statements().empty())
    measure_scores(target, c, 1, true, budget, forward);
  if (is_first) {
    if (own) say(misplaced_rows(as_found, *own), "", of_first);
    say(wrong_levels(target, as_found, budget), "", of_first);
  }
  add_gradients(target, c, budget);
}

void Measuring::Facts::add_gradients(Target& target, const Case& c, Budget& budget) {
  if (is_right_forward() && c.problem.asks(Output::lse)) lse_out.measure(target, c, budget);
  if (is_right_forward()) score_gradients.measure(target, c, budget);
  if (!c.problem.asks(Output::dv)) return;
  if (is_right_forward()) gradients.measure(target, c, budget);
  measure_pass(target, c, budget, backward);
  if (is_right_forward() && backward.tokens.differs()) lse.measure(target, c, budget);
}

std::vector<Statement> Measuring::Facts::statements() const {
  std::vector<Statement> all = of_first;
  const std::vector<Statement> of_factors = factors.statements(false);
  say(of_factors, "", all);
  // A law of each query's lse says more than that it is off by a factor, or nothing.
  if (of_factors.empty()) say(lse_out.statements(), "", all);
  say(addresses.statements(), "", all);
  say(storage.statements(), "", all);
  say(stored_keys.statements(), "", all);
  say(gradients.statements(), "", all);
  const std::vector<Statement> of_used =
      gradients.differs() ? std::vector<Statement>{} : lse.statements();
  say(of_used, "", all);
  const bool of_grad_out = gradients.differs() || !of_used.empty();
  for (const Pass* pass : {&forward, &backward}) {
    if (pass == &backward && of_grad_out) continue;
    say(pass->tokens.statements(), pass->words, all);
    say(pass->scores.statements(), pass->words, all);
    // One rule says more than the angle of each pair.
    if (pass == &forward) say(angles.statements(), "", all);
  }
  // What dv shows of P, and of grad_out, dq and dk have from it.
  const bool of_weights = backward.tokens.differs() || backward.scores.differs();
  if (!of_grad_out && !of_weights) say(score_gradients.statements(), "", all);
  say(factors.statements(true), "", all);
  say(states.statements(), "", all);
  return all;
}

Measuring::Measuring(Target& target, Budget& budget)
    : target_(target), budget_(budget), facts_(std::make_unique<Facts>()) {}
Measuring::~Measuring() = default;

void Measuring::add(const Case& c) {
  if (!target_.info().capabilities.rejection_reason(measured(c)).empty()) return;
  facts_->add(target_, c, cases_ == 0, budget_);
  ++cases_;
}

std::vector<Statement> Measuring::statements() const {
  return facts_->statements();
}

Measurement measure(Target& target, std::span<const Case> cases, Budget& budget) {
  Measuring all(target, budget);
  for (const Case& each : cases) all.add(each);
  return {all.statements(), all.cases(), budget.used(), budget.elapsed()};
}

}  // namespace attnfuzz::measure
