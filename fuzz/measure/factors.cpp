#include "fuzz/measure/factors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "fuzz/elements.h"

namespace attnfuzz::measure {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// By what a right output must be multiplied to give what was got; NaN: by nothing. And how many
/// elements tell it: of the others what is wrong is within a rounding.
struct Factor {
  double factor;
  size_t telling;
};
Factor factor_of(const std::vector<double>& got, const WantedOutput& wanted) {
  const std::vector<double>&want = *wanted.values, &bound = *wanted.bound;
  double top = 0, bottom = 0;
  for (size_t e = 0; e < want.size(); ++e) {
    if (std::isinf(bound[e])) continue;  // anything is right
    if (!std::isfinite(want[e]) || !std::isfinite(got[e])) {
      if (error_ratio(got[e], want[e], bound[e]) > 1) return {none, 0};
      continue;
    }
    top += got[e] * want[e];
    bottom += want[e] * want[e];
  }
  const double factor = bottom > 0 ? top / bottom : none;
  size_t telling = 0;
  for (size_t e = 0; e < want.size(); ++e) {
    if (!std::isfinite(want[e]) || std::isinf(bound[e])) continue;
    const double allowed = bound[e] * (2 + 2 * std::abs(factor));
    if (!(std::abs(got[e] - factor * want[e]) <= allowed)) return {none, 0};
    telling += std::abs(got[e] - want[e]) > 8 * allowed ? 1 : 0;
  }
  return {factor, telling};
}

/// Of so many elements a factor is no chance.
constexpr size_t enough = 4;

struct Law {
  const char* words;
  double (*of)(const Problem&);
};
double number(int64_t size) {
  return static_cast<double>(size);
}
/// What a factor may be, and its inverse.
constexpr Law laws[] = {
    {"ln 2", [](const Problem&) { return std::numbers::ln2; }},
    {"head_dim", [](const Problem& p) { return number(p.head_dim); }},
    {"sqrt(head_dim)", [](const Problem& p) { return std::sqrt(number(p.head_dim)); }},
    {"the scale", [](const Problem& p) { return p.scale_value(); }},
    {"the square of the scale", [](const Problem& p) { return p.scale_value() * p.scale_value(); }},
    {"the query heads of a KV head",
     [](const Problem& p) {
       return number(p.num_heads) / number(std::max<int64_t>(1, p.num_kv_heads));
     }},
    {"batch", [](const Problem& p) { return number(p.batch); }},
    {"num_heads", [](const Problem& p) { return number(p.num_heads); }},
    {"q_len", [](const Problem& p) { return number(p.q_len); }},
    {"kv_len", [](const Problem& p) { return number(p.kv_len); }},
    {"the share that dropout keeps", [](const Problem& p) { return number(p.dropout_keep) / 100; }},
};

}  // namespace

void FactorFacts::add(const Case& c, const OwnRun& run) {
  for (const WantedOutput& wanted : wanted_outputs(c, run.right.steps[0])) {
    const Tensor* given = given_output(run.got, wanted.output);
    if (given == nullptr || given->shape != *wanted.shape || given->dtype != wanted.dtype) continue;
    const std::vector<double> got = judged_values(c, wanted, *given);
    bool wrong = false;
    for (size_t e = 0; e < got.size(); ++e)
      wrong |= error_ratio(got[e], (*wanted.values)[e], (*wanted.bound)[e]) > 1;
    if (!wrong) continue;
    const auto [factor, telling] = factor_of(got, wanted);
    seen_.push_back({wanted.output, factor, telling, c.problem});
  }
}

std::vector<Statement> FactorFacts::statements(bool gradients) const {
  std::vector<Statement> all;
  for (size_t n = 0; n < names_of<Output>.size(); ++n) {
    const auto output = static_cast<Output>(n);
    if (is_gradient(output) != gradients) continue;
    std::vector<Seen> of;
    std::copy_if(seen_.begin(), seen_.end(), std::back_inserter(of),
                 [&](const Seen& each) { return each.output == output; });
    if (of.empty()) continue;
    size_t telling = 0;
    for (const Seen& each : of) telling += each.telling;
    if (telling >= enough &&
        std::all_of(of.begin(), of.end(), [](const Seen& each) { return each.factor == 0; })) {
      all.push_back({"factor", fmt::format("All of {} is zeros, where it should not be.",
                                           attnfuzz::name(output))});
      continue;
    }
    if (!std::all_of(of.begin(), of.end(), [](const Seen& each) { return each.telling >= enough; }))
      continue;
    const auto is = [&](const auto& value) {
      return std::all_of(of.begin(), of.end(), [&](const Seen& each) {
        return std::abs(each.factor - value(each.problem)) <= 2e-3 * std::abs(each.factor);
      });
    };
    const double first = of.front().factor;
    std::string name;
    for (const Law& law : laws) {
      if (is([&](const Problem& p) { return law.of(p); })) name = law.words;
      if (is([&](const Problem& p) { return 1 / law.of(p); }))
        name = fmt::format("1 / {}", law.words);
      if (!name.empty()) break;
    }
    if (name.empty() && !is([&](const Problem&) { return first; })) continue;
    all.push_back(
        {"factor", fmt::format("All of {} is {:.5g} times what it should be{}{}, and else right.",
                               attnfuzz::name(output), first, name.empty() ? "" : ": ", name)});
  }
  return all;
}

}  // namespace attnfuzz::measure
