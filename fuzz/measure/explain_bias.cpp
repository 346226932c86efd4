#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

/// What may become of a scaled score s and a bias b before the softmax.
struct Formula {
  const char* words;
  double (*of)(const Problem& p, double s, double b);
};

double capped(const Problem& p, double s) {
  return p.softcap > 0 ? p.softcap * std::tanh(s / p.softcap) : s;
}

constexpr Formula formulas[] = {
    {"the softcap is not applied", [](const Problem&, double s, double b) { return s + b; }},
    {"the bias joins the score after the softcap",
     [](const Problem& p, double s, double b) { return capped(p, s) + b; }},
    {"the bias joins the score before the softcap",
     [](const Problem& p, double s, double b) { return capped(p, s + b); }},
    {"the softcap takes the score before it is scaled",
     [](const Problem& p, double s, double b) {
       const double scale = p.scale_value();
       return scale == 0 ? b : scale * capped(p, s / scale) + b;
     }},
    {"the softcapped score is not multiplied by the cap again",
     [](const Problem& p, double s, double b) {
       return p.softcap > 0 ? std::tanh(s / p.softcap) + b : s + b;
     }},
    {"the score is not divided by the cap before tanh",
     [](const Problem& p, double s, double b) {
       return p.softcap > 0 ? p.softcap * std::tanh(s) + b : s + b;
     }},
    {"the bias is not added", [](const Problem& p, double s, double) { return capped(p, s); }},
    {"the bias is added twice",
     [](const Problem& p, double s, double b) { return capped(p, s) + 2 * b; }},
    {"the bias is subtracted",
     [](const Problem& p, double s, double b) { return capped(p, s) - b; }},
    {"the bias is multiplied by the scale",
     [](const Problem& p, double s, double b) { return capped(p, s) + p.scale_value() * b; }},
    {"the bias is multiplied by log2(e)",
     [](const Problem& p, double s, double b) { return capped(p, s) + std::numbers::log2e * b; }},
    {"the bias is multiplied by ln 2",
     [](const Problem& p, double s, double b) { return capped(p, s) + std::numbers::ln2 * b; }},
};

}  // namespace

/// Another order, or another factor, of softcap and bias.
std::optional<std::string> explain_bias(const std::vector<Row>& wrong, const std::vector<Row>&) {
  for (const Formula& each : formulas) {
    const bool all = std::all_of(wrong.begin(), wrong.end(), [&](const Row& row) {
      std::vector<double> scores = scores_as(row, row.problem());
      for (size_t j = 0; j < scores.size(); ++j)
        scores[j] = each.of(row.problem(), scores[j], row.at().keys[row.keys[j]].bias);
      return row.spread_finished(scores) <= row.tolerance();
    });
    if (all) return fmt::format("The weights are those of scores of which {}.", each.words);
  }
  return {};
}

}  // namespace attnfuzz::measure
