#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

std::vector<double> times(std::vector<double> scores, double factor) {
  for (double& s : scores) s *= factor;
  return scores;
}

bool all_fit(const std::vector<Row>& rows, const auto& scores) {
  return std::all_of(rows.begin(), rows.end(), [&](const Row& r) { return r.fits(scores(r)); });
}

/// By which the right scores must be multiplied to give a row's weights: least
/// squares, where no softcap bends them.
double factor_of(const Row& row) {
  const std::vector<double> s = scores_as(row, row.problem());
  double mean_s = 0, mean_l = 0, top = 0, bottom = 0;
  const auto n = static_cast<double>(s.size());
  for (size_t j = 0; j < s.size(); ++j) {
    mean_s += s[j] / n;
    mean_l += (row.log_w[j] - row.at().keys[row.keys[j]].bias) / n;
  }
  for (size_t j = 0; j < s.size(); ++j) {
    top += (s[j] - mean_s) * (row.log_w[j] - row.at().keys[row.keys[j]].bias - mean_l);
    bottom += (s[j] - mean_s) * (s[j] - mean_s);
  }
  return bottom > 0 ? top / bottom : 1;
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

}  // namespace

std::optional<std::string> explain_scale(const std::vector<Row>& wrong, const std::vector<Row>&) {
  if (all_fit(wrong, [](const Row& r) { return times(scores_as(r, r.problem()), 0); }))
    return "All keys get the same weight: the query (or every key) is read as "
           "zeros.";
  const bool capped =
      std::any_of(wrong.begin(), wrong.end(), [](const Row& r) { return r.problem().softcap > 0; });
  if (capped) return {};
  std::vector<double> factors;
  for (const Row& row : wrong) factors.push_back(factor_of(row));
  size_t n = 0;
  if (!all_fit(wrong, [&](const Row& r) { return times(scores_as(r, r.problem()), factors[n++]); }))
    return {};
  // Of two keys any weights have a factor: then several rows must agree on it.
  constexpr size_t agreeing = 4;
  const auto telling = static_cast<size_t>(
      std::count_if(wrong.begin(), wrong.end(), [](const Row& r) { return r.keys.size() > 2; }));
  if (telling == 0 && wrong.size() < agreeing) return {};
  const std::string name = name_of(wrong, factors);
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
  if (telling < agreeing || 2 * telling < wrong.size()) return {};
  return fmt::format(
      "Each query's scores are multiplied by a factor of its "
      "own, from {:.3g} to {:.3g}.",
      *low, *high);
}

}  // namespace attnfuzz::measure
