#include "fuzz/measure/betas.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace attnfuzz::measure {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

bool is_near(double a, double b, double error) {
  return std::abs(a - b) <= error;
}

/// Whose beta or gate a number is, of the tokens that came with the same step; "" where nobody's,
/// or where so many are near it that one is by chance.
std::string whose(const Plan& plan, const Source& at, double used, double error,
                  const std::vector<double>& beta, const std::vector<double>& gate) {
  size_t tried = 0;
  std::string found;
  for (size_t n = 0; n < plan.sources.size(); ++n) {
    const Source& other = plan.sources[n];
    if (other.step != at.step) continue;
    for (const auto& [name, values] : {std::pair{"beta", &beta}, {"gate", &gate}}) {
      if (values->empty()) continue;
      ++tried;
      if (found.empty() && is_near((*values)[n], used, error))
        found = fmt::format("row {} head {} token {} takes the {} of row {} head {} token {}",
                            at.row, at.head, at.i, name, other.row, other.head, other.i);
    }
  }
  constexpr double by_chance = 0.05;  // betas are spread over about 0.6
  return 2 * error * static_cast<double>(tried) / 0.6 < by_chance ? found : "";
}

}  // namespace

void BetaFacts::add(const Plan& plan, const std::vector<uint8_t>& reads,
                    const std::vector<double>& beta, const std::vector<double>& gate,
                    const Weights& got, double error) {
  const double scale = plan.c.problem.scale_value(), allowed = 1e-4 + error;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    if (query.keys.empty() || got.nonfinite[n] != 0) continue;
    const size_t source = query.keys.back().source;
    if (reads[source] == 0) continue;
    ++count_;
    const double used = got.of(n)[source] / scale;
    if (is_near(used, beta[source], allowed)) continue;
    const Source& at = plan.sources[source];
    const auto beta_of = [&](const Source& s) {
      const int64_t len = plan.c.cached() ? plan.c.steps[static_cast<size_t>(s.step)].keys()
                                          : plan.c.problem.kv_len;
      if (s.i < 0 || s.i >= len) return none;
      return beta[plan.source({s.step, s.row, s.i}, s.head)];
    };
    wrong_.push_back({beta[source], used, allowed, beta_of({at.step, at.row, at.head, at.i - 1}),
                      beta_of({at.step, at.row, at.head, at.i + 1}),
                      beta_of({at.step, at.row, 0, at.i}), beta_of({at.step, 0, at.head, at.i}),
                      gate.empty() ? none : gate[source],
                      whose(plan, at, used, allowed, beta, gate)});
  }
}

std::string BetaFacts::words() const {
  if (wrong_.empty()) return "";
  struct Law {
    const char* words;
    double (*of)(const Seen& seen);
  };
  static constexpr Law laws[] = {
      {"a beta of 1 (its own is not applied)", [](const Seen&) { return 1.0; }},
      {"a beta of 0", [](const Seen&) { return 0.0; }},
      {"the square of its beta", [](const Seen& s) { return s.own * s.own; }},
      {"1 − beta in the place of beta", [](const Seen& s) { return 1 - s.own; }},
      {"the sigmoid of its beta", [](const Seen& s) { return 1 / (1 + std::exp(-s.own)); }},
      {"twice its beta", [](const Seen& s) { return 2 * s.own; }},
      {"the beta of the token before it", [](const Seen& s) { return s.before; }},
      {"the beta of the token behind it", [](const Seen& s) { return s.behind; }},
      {"KV head 0's beta", [](const Seen& s) { return s.head_0; }},
      {"batch row 0's beta", [](const Seen& s) { return s.row_0; }},
      {"its gate in the place of its beta", [](const Seen& s) { return s.gate; }},
      {"exp(gate) in the place of its beta", [](const Seen& s) { return std::exp(s.gate); }},
  };
  const std::string seen = fmt::format(" (Seen of {} of {} tokens.)", wrong_.size(), count_);
  for (const Law& law : laws)
    if (std::all_of(wrong_.begin(), wrong_.end(),
                    [&](const Seen& s) { return is_near(law.of(s), s.used, s.error); }))
      return fmt::format("A token enters the state with {}.{}", law.words, seen);
  std::set<std::string> others;
  for (const Seen& each : wrong_) {
    if (each.other.empty()) return "";
    constexpr size_t most = 4;
    if (others.size() < most) others.insert(each.other);
  }
  return fmt::format("A token enters the state with the beta or the gate of another token: {}.{}",
                     fmt::join(others, "; "), seen);
}

}  // namespace attnfuzz::measure
