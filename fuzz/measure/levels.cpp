#include "fuzz/measure/levels.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "fuzz/measure/hidden_scores.h"
#include "fuzz/measure/weights.h"
#include "oracle/given.h"
#include "oracle/rows.h"

namespace attnfuzz::measure {
namespace {

/// What the queries give at a level, with all values 1.
enum class Sum : uint8_t { unknown, right, zero, nonfinite, other };

Sum sum_at(Target& target, const Plan& plan, double level, Budget& budget) {
  if (!budget.allows(1)) return Sum::unknown;
  const Problem& p = plan.c.problem;
  Forge forge(plan);
  const double size = std::sqrt(std::abs(level / p.scale_value()));
  const double sign = (level < 0) == (p.scale_value() > 0) ? -1 : 1;
  forge.queries(
      [&](int32_t, int64_t, int64_t, int64_t, std::span<double> row) { row[0] = sign * size; });
  forge.keys([&](size_t, std::span<double> row) {
    std::fill(row.begin(), row.end(), 0.0);
    row[0] = size;
  });
  forge.values([](size_t, std::span<double> row) { std::fill(row.begin(), row.end(), 1.0); });
  forge.fill("sinks", finished(p, level, 0));  // as one more key of the same score
  forge.fill("bias", 0);
  const std::optional<Given> given = run(target, plan, forge, budget);
  if (!given) return Sum::unknown;
  Sum worst = Sum::right;
  for (const Query& query : plan.queries) {
    if (query.keys.empty()) continue;
    const auto keys = static_cast<double>(query.keys.size());
    const double want = p.sinks ? keys / (keys + 1) : 1;
    for (const double x : row_of(plan, *given, query)) {
      if (!std::isfinite(x)) return Sum::nonfinite;
      if (std::abs(x) < 0.01 * want) worst = Sum::zero;
      if (worst == Sum::right && std::abs(x - want) > 0.15) worst = Sum::other;
    }
  }
  return worst;
}

/// Between a level that is right and one that is not, to two digits.
double edge(Target& target, const Plan& plan, double right, double wrong, Budget& budget) {
  while (std::abs(wrong / right) > 1.01) {
    const double middle = std::copysign(std::sqrt(right * wrong), wrong);
    const Sum sum = sum_at(target, plan, middle, budget);
    if (sum == Sum::unknown) break;
    (sum == Sum::right ? right : wrong) = middle;
  }
  return wrong;
}

/// About the largest score that the case's own q and k make, as far as some of their rows tell.
double reach_of(const Plan& plan) {
  const Case& c = plan.c;
  const Inputs inputs = make_inputs(c);
  const Problem& p = c.problem;
  if (c.cached()) {
    const double size = c.data.dist == Distribution::large  ? 64
                        : c.data.dist == Distribution::huge ? 4096
                                                            : 1;
    return 3 * std::sqrt(static_cast<double>(p.head_dim)) * size * std::abs(p.scale_value());
  }
  const std::vector<double> q = inputs.at("q").to_doubles(), k = inputs.at("k").to_doubles();
  const Rows of_q(p.layout, inputs.at("q").shape), of_k(p.layout, inputs.at("k").shape);
  constexpr size_t most_queries = 64, most_keys = 256;
  double largest = 0;
  const size_t stride = 1 + plan.queries.size() / most_queries;
  for (size_t n = 0; n < plan.queries.size(); n += stride) {
    const Query& query = plan.queries[n];
    const auto row = static_cast<size_t>(of_q.index(query.b, query.h, query.i));
    for (size_t j = 0; j < query.keys.size(); j += 1 + query.keys.size() / most_keys) {
      const Source& key = plan.sources[query.keys[j].source];
      const auto other = static_cast<size_t>(of_k.index(key.row, key.head, key.i));
      double score = 0;
      for (size_t d = 0; d < static_cast<size_t>(p.head_dim); ++d)
        score += q[row + d] * k[other + d];
      largest = std::max(largest, std::abs(score * p.scale_value()));
    }
  }
  return largest;
}

/// What such a level is known to meet.
std::string_view why(const Problem& p, bool low, Sum sum) {
  if (p.softcap > 0 && sum == Sum::nonfinite)
    return ": the softcap must bend it, however large it is";
  return low ? ": the running maximum starts too high, or scores are clamped" : "";
}

/// The same level in other units that code may have.
std::string in_units(const Problem& p, double level) {
  std::string words = fmt::format("{:.3g} as powers of 2", level / std::numbers::ln2);
  if (p.softcap > 0)
    words += fmt::format("; {:.3g} times the softcap, that comes behind it",
                         level / static_cast<double>(p.softcap));
  return words;
}

/// Levels to try: powers of 4, and the reach itself.
std::vector<double> levels_up_to(double reach) {
  std::vector<double> all;
  for (double level = 4; level < reach; level *= 4) all.push_back(level);
  if (!all.empty()) all.push_back(reach);
  return all;
}

}  // namespace

std::vector<Statement> wrong_levels(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  if (p.rope != Rope::none || p.scale_value() == 0 || p.has_dropout() ||
      p.mask.find("alibi") != nullptr || p.memory_kv > 0)
    return {};
  if (p.head_dim == 0) return {};
  Case own = c;
  own.data.nonfinite = NonFinite::none;
  const double reach = reach_of(declared(own));
  Case plain = c.data.given != nullptr ? with_generated_data(c) : c;
  plain.data.dist = Distribution::normal;
  plain.data.nonfinite = NonFinite::none;
  if (!target.info().capabilities.rejection_reason(plain).empty()) return {};
  const Plan plan = declared(plain);
  std::vector<Statement> all;
  for (const double sign : {-1.0, 1.0}) {
    double right = sign;
    if (sum_at(target, plan, right, budget) != Sum::right) return {};
    for (const double level : levels_up_to(reach)) {
      const Sum sum = sum_at(target, plan, sign * level, budget);
      if (sum == Sum::unknown) break;
      if (sum == Sum::right) {
        right = sign * level;
        continue;
      }
      const double from = edge(target, plan, right, sign * level, budget);
      all.push_back(
          {"levels", fmt::format("A query whose scores are all {} about {:.3g} ({}) gives {}, "
                                 "where "
                                 "the weights of its keys must add up to one{}.",
                                 sign < 0 ? "below" : "above", from, in_units(p, from),
                                 sum == Sum::zero        ? "zeros"
                                 : sum == Sum::nonfinite ? "NaN or an infinity"
                                                         : "wrong weights",
                                 why(p, sign < 0, sum))});
      break;
    }
  }
  if (all.empty()) all = hidden_scores(target, plain, reach, budget);
  return all;
}

}  // namespace attnfuzz::measure
