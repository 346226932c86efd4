#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

/// A law that takes the place of cap · tanh(s / cap), for the scaled score s.
struct Law {
  const char* words;
  double (*of)(double s, double cap, double scale);
};

constexpr Law laws[] = {
    {"s itself: no softcap", [](double s, double, double) { return s; }},
    {"tanh(s / cap), without the factor cap",
     [](double s, double cap, double) { return std::tanh(s / cap); }},
    {"cap · tanh(s), without the division by cap",
     [](double s, double cap, double) { return cap * std::tanh(s); }},
    {"tanh(s)", [](double s, double, double) { return std::tanh(s); }},
    {"s · tanh(s / cap)", [](double s, double cap, double) { return s * std::tanh(s / cap); }},
    {"(s / cap) · tanh(s / cap)",
     [](double s, double cap, double) { return s / cap * std::tanh(s / cap); }},
    {"s · (1 − tanh²(s / cap)), its own slope times s",
     [](double s, double cap, double) {
       const double t = std::tanh(s / cap);
       return s * (1 - t * t);
     }},
    {"clamp(s, −cap, cap)", [](double s, double cap, double) { return std::clamp(s, -cap, cap); }},
    {"min(s, cap): one side alone", [](double s, double cap, double) { return std::min(s, cap); }},
    {"scale · cap · tanh(s / (scale · cap)): the softcap comes before the scale",
     [](double s, double cap, double scale) { return scale * cap * std::tanh(s / scale / cap); }},
    {"scale · cap · tanh(s / cap): the scale is applied again behind it",
     [](double s, double cap, double scale) { return scale * cap * std::tanh(s / cap); }},
    {"cap · tanh(scale · s / cap): the scale is applied twice before it",
     [](double s, double cap, double scale) { return cap * std::tanh(scale * s / cap); }},
    {"cap · tanh(cap · tanh(s / cap) / cap): the softcap is applied twice",
     [](double s, double cap, double) { return cap * std::tanh(std::tanh(s / cap)); }},
    {"s / (1 + |s| / cap)",
     [](double s, double cap, double) { return s / (1 + std::abs(s) / cap); }},
    {"cap · atan(s / cap)", [](double s, double cap, double) { return cap * std::atan(s / cap); }},
    {"s / sqrt(1 + (s / cap)²)",
     [](double s, double cap, double) { return s / std::sqrt(1 + s / cap * s / cap); }},
    {"cap · (2 · sigmoid(s / cap) − 1), tanh of half the score",
     [](double s, double cap, double) { return cap * std::tanh(s / cap / 2); }},
};

/// Whether a row's weights are what a law gives, with the bias as declared.
bool fits(const Row& row, const auto& law) {
  const Problem& p = row.problem();
  std::vector<double> s = scores_as(row, p);
  const bool before = p.bias_order == BiasOrder::before_softcap;
  for (size_t j = 0; j < s.size(); ++j) {
    const double bias = row.at().keys[row.keys[j]].bias;
    s[j] = before ? law(s[j] + bias) : law(s[j]) + bias;
  }
  return row.spread_finished(s) <= row.tolerance();
}

bool all_fit(const std::vector<Row>& rows, const auto& law_of) {
  return std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
    return fits(row, [&](double s) { return law_of(row, s); });
  });
}

/// Another cap, the same part of the declared one in all rows; 0: none.
double other_cap(const std::vector<Row>& wrong) {
  constexpr int steps = 2400;
  for (int n = 0; n <= steps; ++n) {  // 1/1000 to 1000 times, in steps of 0.6 %
    const double factor = std::pow(1e6, static_cast<double>(n) / steps) / 1e3;
    const auto capped = [=](const Row& row, double s) {
      const double cap = row.problem().softcap * factor;
      return cap * std::tanh(s / cap);
    };
    // Near the right factor a row is off by no more than a grid step moves it.
    if (fits(wrong.front(), [&](double s) { return capped(wrong.front(), s); }) &&
        all_fit(wrong, capped))
      return factor;
  }
  return 0;
}

}  // namespace

std::optional<std::string> explain_softcap(const std::vector<Row>& wrong, const std::vector<Row>&) {
  if (std::any_of(wrong.begin(), wrong.end(),
                  [](const Row& row) { return row.problem().softcap <= 0; }))
    return {};
  std::vector<const Law*> found;
  for (const Law& law : laws)
    if (all_fit(wrong, [&](const Row& row, double s) {
          return law.of(s, row.problem().softcap, row.problem().scale_value());
        }))
      found.push_back(&law);
  if (!found.empty()) {
    std::string words = found.front()->words;
    for (size_t n = 1; n < found.size() && n < 3; ++n)
      words += fmt::format(" (or {})", found[n]->words);
    return fmt::format(
        "The softcap of the scaled score s is {}, where cap · tanh(s / cap) is right (cap = {:g}).",
        words, wrong.front().problem().softcap);
  }
  if (const double factor = other_cap(wrong); factor > 0)
    return fmt::format("The softcap is {:.3g}, {:.3g} times what the case says ({:g}).",
                       wrong.front().problem().softcap * factor, factor,
                       wrong.front().problem().softcap);
  return {};
}

}  // namespace attnfuzz::measure
