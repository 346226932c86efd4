#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "fuzz/measure/scale_law.h"
#include "fuzz/measure/scores.h"
#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {
namespace {

std::vector<double> times(std::vector<double> scores, double factor) {
  for (double& s : scores) s *= factor;
  return scores;
}

bool all_fit(const std::vector<Row>& rows, const auto& scores) {
  return std::all_of(rows.begin(), rows.end(), [&](const Row& r) { return r.fits(scores(r)); });
}

/// Whether a row's weights are those of equal scores. That they are equal says less: what adds up
/// to something else is no softmax of its scores.
bool is_even(const Row& row) {
  const std::vector<double> zeros(row.at().keys.size(), 0.0);
  const std::vector<double> even =
      weights(row.problem(), row.at(), zeros, row.of->sinks[static_cast<size_t>(row.at().h)]);
  const double kept = std::log(100 / static_cast<double>(row.problem().dropout_keep));
  for (size_t n = 0; n < row.keys.size(); ++n)
    if (std::abs(row.log_w[n] - kept - std::log(even[row.keys[n]])) > row.tolerance()) return false;
  return true;
}

/// Sums for the factor by which the right scores must be multiplied to give rows' weights: least
/// squares, where no softcap bends them.
struct Slope {
  double top = 0, bottom = 0;
  double factor() const { return bottom > 0 ? top / bottom : 1; }
};
void add(const Row& row, Slope& to) {
  const std::vector<double> s = scores_as(row, row.problem());
  double mean_s = 0, mean_l = 0;
  const auto n = static_cast<double>(s.size());
  for (size_t j = 0; j < s.size(); ++j) {
    mean_s += s[j] / n;
    mean_l += (row.log_w[j] - row.at().keys[row.keys[j]].bias) / n;
  }
  for (size_t j = 0; j < s.size(); ++j) {
    to.top += (s[j] - mean_s) * (row.log_w[j] - row.at().keys[row.keys[j]].bias - mean_l);
    to.bottom += (s[j] - mean_s) * (s[j] - mean_s);
  }
}
double factor_of(const Row& row) {
  Slope slope;
  add(row, slope);
  return slope.factor();
}

/// The factor that leaves the least of rows whose scores a softcap bends.
double capped_factor(const std::vector<const Row*>& rows) {
  const auto left = [&](double factor) {
    double sum = 0;
    for (const Row* row : rows) sum += row->spread(times(scores_as(*row, row->problem()), factor));
    return sum;
  };
  double best = 1, least = left(1);
  for (double step : {1.05, 1.002, 1.0001}) {
    constexpr int steps = 60;
    const double around = best;
    for (int n = -steps; n <= steps; ++n) {
      const double factor = around * std::pow(step, n);
      if (const double sum = left(factor); sum < least) {
        least = sum;
        best = factor;
      }
    }
  }
  return best;
}

/// Of each case the factor of all its rows' scores; none where rows have factors of their own.
std::optional<std::map<const Scored*, double>> factors_by_case(const std::vector<Row>& rows) {
  std::map<const Scored*, std::vector<const Row*>> cases;
  for (const Row& row : rows) cases[row.of].push_back(&row);
  std::map<const Scored*, double> factors;
  for (const auto& [of, all] : cases) {
    Slope slope;
    for (const Row* row : all) add(*row, slope);
    const bool capped = of->plan->c.problem.softcap > 0;
    factors[of] = capped ? capped_factor(all) : slope.factor();
  }
  const bool fit = all_fit(rows, [&](const Row& row) {
    return times(scores_as(row, row.problem()), factors.at(row.of));
  });
  if (!fit) return {};
  return factors;
}

/// Of which sizes the scale is made, where cases tell.
std::string law_of(const std::map<const Scored*, double>& factors) {
  std::vector<SeenScale> seen;
  for (const auto& [of, factor] : factors)
    seen.push_back({&of->plan->c.problem, factor * of->plan->c.problem.scale_value()});
  return scale_law(seen);
}

/// What a factor of the scale is, where it has a name in every case.
std::string name_of(const std::vector<Row>& wrong, const std::vector<double>& factors) {
  struct Named {
    const char* words;
    double (*of)(const Problem&);
  };
  static constexpr Named names[] = {
      {"no scale (1)", [](const Problem&) { return 1.0; }},
      {"1/sqrt(head_dim)",
       [](const Problem& p) { return 1 / std::sqrt(static_cast<double>(p.head_dim)); }},
      {"the scale times itself",
       [](const Problem& p) { return p.scale_value() * p.scale_value(); }},
      {"the scale / sqrt(head_dim)",
       [](const Problem& p) {
         return p.scale_value() / std::sqrt(static_cast<double>(p.head_dim));
       }},
      {"1/sqrt(head_dim_v)",
       [](const Problem& p) { return 1 / std::sqrt(static_cast<double>(p.head_dim_v)); }},
      {"1/head_dim", [](const Problem& p) { return 1 / static_cast<double>(p.head_dim); }},
      {"the scale · ln 2 (2^s for exp(s))",
       [](const Problem& p) { return p.scale_value() * std::numbers::ln2; }},
      {"the scale · log2(e)",
       [](const Problem& p) { return p.scale_value() * std::numbers::log2e; }},
      {"the square root of the scale", [](const Problem& p) { return std::sqrt(p.scale_value()); }},
      {"1 / the scale", [](const Problem& p) { return 1 / p.scale_value(); }},
      {"sqrt(head_dim)",
       [](const Problem& p) { return std::sqrt(static_cast<double>(p.head_dim)); }},
  };
  for (const Named& each : names) {
    bool all = true;
    for (size_t n = 0; n < wrong.size(); ++n) {
      const double scale = factors[n] * wrong[n].problem().scale_value();
      all &= std::abs(scale - each.of(wrong[n].problem())) <= 0.01 * std::abs(scale);
    }
    if (all) return each.words;
  }
  return "";
}

/// What enters the softmax, with its bias and softcap, multiplied by one factor in all rows.
std::string of_all_that_enters(const std::vector<Row>& wrong, const std::vector<Row>& right) {
  struct Named {
    double factor;
    const char* words;
  };
  static constexpr Named names[] = {
      {std::numbers::ln2,
       "The softmax is one of powers of 2: a weight is 2^s where exp(s) is right"},
      {std::numbers::log2e, "A weight is exp(s · log2(e)) where exp(s) is right"},
      {2, "What enters the softmax is doubled: a weight is exp(2 s) where exp(s) is right"},
      {0.5, "What enters the softmax is halved: a weight is exp(s / 2) where exp(s) is right"}};
  const auto all_have = [](const std::vector<Row>& rows, double factor) {
    return std::all_of(rows.begin(), rows.end(), [=](const Row& row) {
      std::vector<double> scores = scores_as(row, row.problem());
      for (size_t j = 0; j < scores.size(); ++j)
        scores[j] = factor * finished(row.problem(), scores[j], row.at().keys[row.keys[j]].bias);
      return row.spread_finished(scores) <= row.tolerance();
    });
  };
  for (const Named& each : names)
    if (all_have(wrong, each.factor) && all_have(right, each.factor))
      return fmt::format("{} (s: a score with its bias and softcap).", each.words);
  return "";
}

/// `by_query`: also where each query has a factor of its own.
std::optional<std::string> scale_words(const std::vector<Row>& wrong, bool by_query) {
  if (std::all_of(wrong.begin(), wrong.end(), is_even))
    return "All keys get the same weight: the query (or every key) is read as "
           "zeros.";
  const bool capped =
      std::any_of(wrong.begin(), wrong.end(), [](const Row& r) { return r.problem().softcap > 0; });
  const std::optional<std::map<const Scored*, double>> of_cases = factors_by_case(wrong);
  if (capped && !of_cases) return {};
  std::vector<double> factors;
  for (const Row& row : wrong) factors.push_back(of_cases ? of_cases->at(row.of) : factor_of(row));
  size_t n = 0;
  if (!all_fit(wrong, [&](const Row& r) { return times(scores_as(r, r.problem()), factors[n++]); }))
    return {};
  // Weights that are equal and yet add up to something else are no softmax of scores times 0.
  if (std::all_of(factors.begin(), factors.end(), [](double f) { return std::abs(f) < 1e-6; }))
    return {};
  // Of two keys any weights have a factor: then several rows must agree on it.
  constexpr size_t agreeing = 4;
  const auto telling = static_cast<size_t>(
      std::count_if(wrong.begin(), wrong.end(), [](const Row& r) { return r.keys.size() > 2; }));
  if (telling == 0 && wrong.size() < agreeing) return {};
  std::string name = name_of(wrong, factors);
  if (name.empty() && of_cases) name = law_of(*of_cases);
  const auto [low, high] = std::minmax_element(factors.begin(), factors.end());
  const double scale = wrong.front().problem().scale_value();
  if (!name.empty())
    return fmt::format("Scores are scaled by {}: {:.4g} in the place of {:.4g}.", name,
                       factors.front() * scale, scale);
  if (*high - *low <= 0.02 * std::abs(*high))
    return fmt::format(
        "Scores are {:.4g} times what they should be: the scale "
        "is {:.4g} in the "
        "place of {:.4g}.",
        factors.front(), factors.front() * scale, scale);
  if (of_cases)
    return fmt::format(
        "{} It is {:.4g} in the place of {:.4g} in one case, and other ones in others.",
        untold_scale, factors.front() * scale, scale);
  if (!by_query || telling < agreeing || 2 * telling < wrong.size()) return {};
  return fmt::format(
      "Each query's scores are multiplied by a factor of its own, "
      "from {:.3g} to {:.3g}.",
      *low, *high);
}

}  // namespace

std::optional<std::string> explain_scale(const std::vector<Row>& wrong,
                                         const std::vector<Row>& right) {
  if (std::optional<std::string> words = scale_words(wrong, false)) return words;
  if (std::string all = of_all_that_enters(wrong, right); !all.empty()) return all;
  return scale_words(wrong, true);
}

}  // namespace attnfuzz::measure
