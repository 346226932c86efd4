#include "fuzz/measure/hidden_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "fuzz/measure/tokens/hidden_by.h"

namespace attnfuzz::measure {
namespace {

/// A query that sees some keys of its row, and others not.
struct Watched {
  const Query* query;
  std::set<size_t> shown, hidden;  ///< sources
  std::set<size_t> places;         ///< of the hidden ones
};

std::optional<Watched> watched(const Plan& plan) {
  for (const Query& query : plan.queries) {
    Watched one{&query, {}, {}, {}};
    for (const Key& key : query.keys) one.shown.insert(key.source);
    const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
    for (size_t j = 0; j < held.tokens.size(); ++j) {
      const size_t source = plan.source(held.tokens[j], plan.c.problem.kv_head(query.h));
      if (one.shown.count(source) != 0) continue;
      one.hidden.insert(source);
      one.places.insert(j);
    }
    if (!one.shown.empty() && !one.hidden.empty()) return one;
  }
  return {};
}

/// The experiment: keys that the query sees have one score, those that are hidden another.
class Levels {
 public:
  Levels(Target& target, const Plan& plan, const Watched& one, Budget& budget)
      : target_(target), plan_(plan), one_(one), budget_(budget) {}

  /// Which share of the query's weight the hidden keys get; none where nothing can be told.
  std::optional<double> share(double shown, double hidden) const {
    if (!budget_.allows(1)) return {};
    const double scale = plan_.c.problem.scale_value();
    const double size = std::sqrt(std::max(std::abs(shown), std::abs(hidden)) / std::abs(scale));
    Forge forge(plan_);
    forge.queries([&](int32_t, int64_t, int64_t, int64_t, std::span<double> row) {
      row[0] = std::copysign(size, scale);
    });
    forge.keys([&](size_t source, std::span<double> row) {
      std::fill(row.begin(), row.end(), 0.0);
      const double score = one_.hidden.count(source) != 0 ? hidden : shown;
      row[0] = size > 0 ? score / (std::abs(scale) * size) : 0;
    });
    forge.values([&](size_t source, std::span<double> row) {
      std::fill(row.begin(), row.end(), one_.hidden.count(source) != 0 ? 1.0 : 0.0);
    });
    forge.fill("bias", 0);
    const std::optional<Given> given = run(target_, plan_, forge, budget_);
    if (!given) return {};
    const double seen = row_of(plan_, *given, *one_.query)[0];
    if (!std::isfinite(seen) || seen < -0.01 || seen > 1.01) return {};
    return seen;
  }

  /// The largest level of all scores, or of the difference of two scores, at which the hidden keys
  /// get half of the weight, to three digits.
  double edge(double reach, bool differing) const {
    double without = 1, with = reach;
    while (with / without > 1.001) {
      const double middle = std::sqrt(with * without);
      const std::optional<double> seen = share(-middle, differing ? middle : -middle);
      if (!seen) break;
      (*seen < 0.5 ? without : with) = middle;
    }
    return with;
  }

 private:
  Target& target_;
  const Plan& plan_;
  const Watched& one_;
  Budget& budget_;
};

}  // namespace

std::vector<Statement> hidden_scores(Target& target, const Case& c, double reach, Budget& budget) {
  const Problem& p = c.problem;
  constexpr double least = 8;  // below it other experiments see the keys
  if (p.rope != Rope::none || p.softcap > 0 || p.scale_value() == 0 || p.has_dropout() || p.sinks ||
      p.mask.find("alibi") != nullptr || p.memory_kv > 0 || reach < least)
    return {};
  const Plan plan = declared(c);
  const std::optional<Watched> one = watched(plan);
  if (!one) return {};
  const Levels levels(target, plan, *one, budget);
  const std::optional<double> near = levels.share(-1, -1);
  if (!near || *near > 0.01) return {};
  HiddenBy by;
  by.add(plan, *one->query, one->places);
  for (const bool differing : {false, true}) {
    const std::optional<double> far = levels.share(-reach, differing ? reach : -reach);
    if (!far || *far < 0.5) continue;
    const double level = levels.edge(reach, differing);
    return {{"levels",
             differing
                 ? fmt::format("Keys that the case hides{} get about {:.3g} added to their score, "
                               "where −infinity is right: where it is higher by more than that "
                               "than all others, they take the query's weight.",
                               by.words(), -2 * level)
                 : fmt::format("Keys that the case hides{} have a score of about {:.3g}, where "
                               "−infinity is right: where all others are lower still, they take "
                               "the query's weight.",
                               by.words(), -level)}};
  }
  return {};
}

}  // namespace attnfuzz::measure
