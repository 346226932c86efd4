#include "fuzz/measure/states.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/untold.h"
#include "fuzz/measure/vectors.h"
#include "oracle/linear/kinds.h"
#include "oracle/philox.h"

namespace attnfuzz::measure {
namespace {

double uniform(uint64_t seed, uint64_t n, uint32_t d, double low, double high) {
  return low + (high - low) * static_cast<double>(philox4x32(seed, n, d).v[0]) / 4294967296.0;
}

/// What an experiment gives the tokens: keys along one axis each, mild gates,
/// betas between 0.3 and 0.9, all as the case's dtype has them.
struct Tokens {
  std::vector<std::vector<double>> k,
      gate;                  ///< [source][head_dim]; gate: [1], [head_dim] or none
  std::vector<double> beta;  ///< [source]
};

Tokens tokens_of(const Plan& plan, Forge& forge) {
  const Problem& p = plan.c.problem;
  const KindTraits kind = traits(p.kind);
  const auto dim = static_cast<size_t>(p.head_dim);
  Tokens all;
  const auto round = [&](double x) { return round_to(p.dtype, x); };
  for (size_t n = 0; n < plan.sources.size(); ++n) {
    std::vector<double>& key = all.k.emplace_back(dim, kind.beta ? 0.0 : 1.0);
    if (kind.beta) key[static_cast<size_t>(std::max<int64_t>(0, plan.born[n])) % dim] = 1;
    std::vector<double>& gate = all.gate.emplace_back();
    if (kind.gate == Gate::fixed)
      gate.push_back(fixed_gate(plan.sources[n].head));
    else if (kind.gate != Gate::none)
      for (size_t d = 0; d < (kind.gate == Gate::key ? dim : 1); ++d)
        gate.push_back(round(uniform(1, n, static_cast<uint32_t>(d), -0.12, -0.02)));
    all.beta.push_back(kind.beta ? round(uniform(2, n, 0, 0.3, 0.9)) : 1);
  }
  // A gate for each element of the key: queries read one element alone.
  forge.queries([&](int32_t, int64_t, int64_t, int64_t, std::span<double> row) {
    std::fill(row.begin(), row.end(), kind.gate == Gate::key ? 0.0 : 1.0);
    if (kind.gate == Gate::key) row.back() = 1;
  });
  forge.keys([&](size_t n, std::span<double> row) {
    std::copy(all.k[n].begin(), all.k[n].end(), row.begin());
  });
  if (kind.gate == Gate::head || kind.gate == Gate::key)
    forge.extra("gate", [&](size_t n, std::span<double> row) {
      std::copy_n(all.gate[n].begin(), row.size(), row.begin());
    });
  if (kind.beta)
    forge.extra("beta", [&](size_t n, std::span<double> row) { row[0] = all.beta[n]; });
  return all;
}

/// The part that each source has in what a query reads: the recurrence, with an
/// element of v for each source.
Weights expected_state(const Plan& plan, const Tokens& tokens) {
  const Problem& p = plan.c.problem;
  const auto dim = static_cast<size_t>(p.head_dim);
  const bool by_key = traits(p.kind).gate == Gate::key;
  Weights all;
  all.sources = plan.sources.size();
  all.w.assign(plan.queries.size() * all.sources, 0.0);
  all.nonfinite.assign(plan.queries.size(), 0);
  all.offset.assign(plan.queries.size(), 0.0);
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const std::vector<Key>& keys = plan.queries[n].keys;
    std::vector<double> state(dim * keys.size(), 0.0);
    for (size_t t = 0; t < keys.size(); ++t) {
      const size_t source = keys[t].source;
      const std::vector<double>& gate = tokens.gate[source];
      for (size_t d = 0; d < dim; ++d)
        for (size_t s = 0; s < t; ++s)
          state[d * keys.size() + s] *= gate.empty() ? 1 : std::exp(gate[by_key ? d : 0]);
      for (size_t s = 0; s <= t; ++s) {
        double u = s == t ? 1 : 0;
        if (traits(p.kind).beta) {
          for (size_t d = 0; d < dim; ++d) u -= tokens.k[source][d] * state[d * keys.size() + s];
          u *= tokens.beta[source];
        }
        for (size_t d = 0; d < dim; ++d) state[d * keys.size() + s] += tokens.k[source][d] * u;
      }
    }
    for (size_t s = 0; s < keys.size(); ++s) {
      double sum = 0;
      for (size_t d = by_key ? dim - 1 : 0; d < dim; ++d) sum += state[d * keys.size() + s];
      all.w[n * all.sources + keys[s].source] = p.scale_value() * sum;
    }
  }
  return all;
}

/// Whether what a query reads of tokens of earlier steps is their keys in the
/// place of their values: the state, transposed. One run, with head_dim =
/// head_dim_v.
void try_transposed(Target& target, const Plan& plan, Budget& budget, int64_t& tried,
                    int64_t& transposed) {
  const Problem& p = plan.c.problem;
  if (p.head_dim != p.head_dim_v || p.head_dim < 3 || !budget.allows(1)) return;
  Forge forge(plan);
  const Tokens tokens = tokens_of(plan, forge);
  forge.queries([&](int32_t, int64_t, int64_t, int64_t, std::span<double> row) {
    std::fill(row.begin(), row.end(), 1.0);
  });
  // The first token alone has a value, along another axis than its key.
  const auto is_first = [&](size_t n) { return plan.born[n] == 0; };
  forge.keys([&](size_t n, std::span<double> row) {
    std::fill(row.begin(), row.end(), 0.0);
    if (is_first(n)) row[0] = 1;
  });
  forge.values([&](size_t n, std::span<double> row) {
    std::fill(row.begin(), row.end(), 0.0);
    if (is_first(n)) row[1] = 1;
  });
  const std::optional<Given> given = run(target, plan, forge, budget);
  if (!given) return;
  for (const Query& query : plan.queries) {
    if (query.position == 0) continue;
    const std::span<const double> out = attnfuzz::measure::row_of(plan, *given, query);
    ++tried;
    transposed += std::abs(out[0]) > 1e-4 && std::abs(out[1]) < 1e-6 ? 1 : 0;
  }
}

/// Below this a weight of a query cannot be told from none: each comes out in an element of its
/// own, whose rounding is as small as it is.
double floor_of(std::span<const double> weights) {
  double largest = 0;
  for (const double w : weights) largest = std::max(largest, std::abs(w));
  return 1e-5 * largest;
}

/// Whether a token is taken that should not be, or one is missing though there are older ones: what
/// decays too much leaves nothing of the oldest.
bool takes_others(const Query& query, std::span<const double> got, std::span<const double> want) {
  const double floor = floor_of(got), least = floor_of(want);
  for (size_t k = 0; k < got.size(); ++k)
    if (want[k] == 0 && std::abs(got[k]) > 2000 * floor) return true;
  bool older = false;
  for (const Key& key : query.keys) {
    const bool seen = std::abs(got[key.source]) > floor;
    if (older && !seen && std::abs(want[key.source]) > 100 * least) return true;
    older |= seen;
  }
  return false;
}

void add_betas(const Plan& plan, const Tokens& tokens, const Weights& got, double error,
               BetaFacts& to) {
  std::vector<uint8_t> reads;
  std::vector<double> gates;
  const bool by_key = traits(plan.c.problem.kind).gate == Gate::key;
  for (size_t n = 0; n < plan.sources.size(); ++n) {
    reads.push_back(!by_key || tokens.k[n].back() != 0 ? 1 : 0);
    if (!tokens.gate[n].empty()) gates.push_back(tokens.gate[n].front());
  }
  to.add(plan, reads, tokens.beta, gates, got, error);
}

}  // namespace

void StateFacts::measure(Target& target, const Case& c, Budget& budget) {
  const Plan plan = declared(c);
  try_transposed(target, plan, budget, tried_transposed_, transposed_);
  if (transposed_ > 0) return;
  Forge forge(plan);
  const Tokens tokens = tokens_of(plan, forge);
  const std::optional<Weights> got = weigh(target, plan, forge, budget);
  if (!got) return;
  const Weights want = expected_state(plan, tokens);
  const double error =
      20 * weight_error(c, target.info().capabilities.precision_of(c.problem.dtype));
  tokens_.add(plan, forge, *got, want, error);
  for (size_t n = 0; n < plan.queries.size(); ++n)
    other_tokens_ |= takes_others(plan.queries[n], got->of(n), want.of(n));
  add_emptied(plan, *got, want, error);
  if (traits(c.problem.kind).beta) add_betas(plan, tokens, *got, error, betas_);
  if (traits(c.problem.kind).gate != Gate::none) add_decays(plan, tokens.gate, *got, want, error);
}

/// Whether queries read the tokens from some step of theirs on as the case says, and none before
/// it: then that step began with an empty state.
void StateFacts::add_emptied(const Plan& plan, const Weights& got, const Weights& want,
                             double error) {
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    const double least = 100 * floor_of(want.of(n)), floor = floor_of(got.of(n));
    const auto step_of = [&](size_t j) { return plan.sources[query.keys[j].source].step; };
    const auto expected = [&](size_t j) {
      return std::abs(want.of(n)[query.keys[j].source]) > least;
    };
    const auto seen = [&](size_t j) { return std::abs(got.of(n)[query.keys[j].source]) > floor; };
    size_t first = 0;
    while (first < query.keys.size() && !seen(first)) ++first;
    if (first == query.keys.size()) continue;
    bool lost = false, earlier = false, off = false;
    for (size_t j = 0; j < query.keys.size(); ++j) {
      const size_t source = query.keys[j].source;
      lost |= j < first && expected(j);
      earlier |= expected(j) && step_of(j) != query.step;
      off |=
          j >= first && expected(j) &&
          std::abs(got.of(n)[source] - want.of(n)[source]) > error * std::abs(want.of(n)[source]);
    }
    lost_otherwise_ |= off || (lost && step_of(first - 1) == step_of(first));
    if (earlier) emptied_.add(attributes_of(plan, query), step_of(first) == query.step);
  }
}

std::string StateFacts::emptied_words() const {
  if (emptied_.marked() == 0 || lost_otherwise_) return "";
  const Where::Condition condition = emptied_.condition();
  constexpr int most_parts = 2;  // more are found by chance
  if (!condition.found || condition.parts > most_parts) return "";
  return fmt::format("The state is empty when a step begins: what earlier steps left is lost{}.",
                     Where::words_after(", exactly for queries with", condition));
}

/// How many tokens before key `j`, which begins a step, have gates that sum to −extra: those whose
/// decay the state lacks that the earlier step handed on.
StateFacts::Handed StateFacts::handed_on(const Plan& plan, const Query& query,
                                         const std::vector<std::vector<double>>& gates, size_t j,
                                         double extra) {
  Handed handed;
  const int32_t step = plan.sources[query.keys[j - 1].source].step;
  double sum = 0;
  for (size_t n = j; n-- > 0 && plan.sources[query.keys[n].source].step == step;) {
    sum += gates[query.keys[n].source].back();
    ++handed.of;
    constexpr double near = 0.01;
    if (std::abs(sum + extra) < near) handed.undone = handed.of;
  }
  return handed;
}

/// What the state lacks that steps hand on, where that is one rule.
std::string StateFacts::handed_words() const {
  const auto all = [&](const auto& holds) {
    return std::all_of(wrong_.begin(), wrong_.end(),
                       [&](const Decay& d) { return d.undone > 0 && holds(d); });
  };
  const std::string_view before = "The state that a step hands on to later steps lacks the decay";
  if (all([](const Decay& d) { return d.undone == d.of; }))
    return fmt::format("{} of the step's own gates.", before);
  for (const int64_t chunk : {8, 16, 32, 64, 128, 256})
    if (all([=](const Decay& d) { return d.undone == d.of % chunk; }))
      return fmt::format("{} of the gates of the step's last, partial chunk of {} tokens.", before,
                         chunk);
  if (all([&](const Decay& d) { return d.undone == wrong_.front().undone; }))
    return fmt::format("{} of the gates of the step's last {} tokens.", before,
                       wrong_.front().undone);
  return "";
}

void StateFacts::add_decays(const Plan& plan, const std::vector<std::vector<double>>& gates,
                            const Weights& got, const Weights& want, double error) {
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
    const double floor = floor_of(got.of(n));
    const auto off = [&](size_t j) {
      const double is = got.of(n)[query.keys[j].source];
      if (std::abs(is) <= floor) return -std::numeric_limits<double>::infinity();
      return std::log(is / want.of(n)[query.keys[j].source]);
    };
    double in_step = 0, in_all = 0;
    for (size_t j = 0; j < query.keys.size(); ++j) {
      const size_t source = query.keys[j].source;
      const Source& at = plan.sources[source];
      const double own = gates[source].back();
      const bool begins = j == 0 || plan.sources[query.keys[j - 1].source].step != at.step;
      in_step = (begins ? 0 : in_step) + own;
      in_all += own;
      if (j == 0) continue;
      const double extra = off(j - 1) - off(j);
      if (!std::isfinite(extra)) continue;
      ++decays_;
      const bool wrong = std::abs(extra) > 4 * error;
      where_.add(attributes_of(plan, query, held, place_of(plan, query, source).place), wrong);
      if (!wrong) continue;
      const Source head{at.step, at.row, 0, at.i}, row{at.step, 0, at.head, at.i};
      const Handed handed = begins ? handed_on(plan, query, gates, j, extra) : Handed{};
      const auto gate_of = [&](const Source& s) {
        return gates[plan.source({s.step, s.row, s.i}, s.head)].back();
      };
      wrong_.push_back({own, own + extra, 2 * own, 0, in_step, in_all,
                        gates[query.keys[j - 1].source].back(), gate_of(head), gate_of(row),
                        at.step != query.step, handed.undone, handed.of});
      if (example_.empty())
        example_ = fmt::format(
            "As {} reads it, the token at {} multiplies the state "
            "by {:.3g}, where its gate says "
            "{:.3g}.",
            describe_query(plan, query), query.keys[j].position, std::exp(own + extra),
            std::exp(own));
    }
  }
}

std::string StateFacts::decay_words() const {
  if (std::string words = handed_words(); !words.empty()) return words;
  struct Named {
    double Decay::*value;
    const char* words;
  };
  static constexpr Named names[] = {
      {&Decay::none, "not at all"},
      {&Decay::twice, "twice by its gate"},
      {&Decay::step_sum, "by the sum of the gates of its step up to its own"},
      {&Decay::all_sum, "by the sum of all gates up to its own"},
      {&Decay::before, "by the gate of the token before it"},
      {&Decay::head_0, "by KV head 0's gate"},
      {&Decay::row_0, "by batch row 0's gate"},
  };
  for (const Named& each : names)
    if (std::all_of(wrong_.begin(), wrong_.end(),
                    [&](const Decay& d) { return std::abs(d.*each.value - d.seen) < 0.01; }))
      return fmt::format("A token decays the state {}.", each.words);
  const bool more =
      std::all_of(wrong_.begin(), wrong_.end(), [](const Decay& d) { return d.seen < d.own; });
  const bool less =
      std::all_of(wrong_.begin(), wrong_.end(), [](const Decay& d) { return d.seen > d.own; });
  return more   ? "Tokens decay the state more than their gates say."
         : less ? "Tokens decay the state less than their gates say."
                : "Tokens decay the state otherwise than their gates say.";
}

std::vector<Statement> StateFacts::statements() const {
  if (transposed_ > 0)
    return {{"state", fmt::format("The state is read transposed: what earlier "
                                  "tokens left comes out along "
                                  "their keys' elements in the place of their "
                                  "values' (in {} of {} queries).",
                                  transposed_, tried_transposed_)}};
  if (const std::string betas = other_tokens_ ? "" : betas_.words(); !betas.empty())
    return {{"state", betas}};
  if (const std::string emptied = emptied_words(); !emptied.empty()) return {{"state", emptied}};
  if (!wrong_.empty() && !other_tokens_) {
    const std::string where = where_.words_after(" Exactly for tokens with");
    return {{"state", decay_words() + " " + example_ + (where.empty() ? "" : where + ".") +
                          fmt::format(" (Seen in {} of {} decays.)", wrong_.size(), decays_)}};
  }
  if (tokens_.differs() && !other_tokens_)
    return {{"state", std::string(untold_state) + " gates and betas say."}};
  return tokens_.statements();
}

}  // namespace attnfuzz::measure
