#include "fuzz/measure/finding.h"

#include <algorithm>

#include "fuzz/measure/calls.h"
#include "fuzz/measure/follow_ups.h"
#include "fuzz/measure/measure.h"

namespace attnfuzz::measure {
namespace {

constexpr int64_t most_runs = 4000, most_follow_ups = 24;
constexpr size_t most_measured = 3;     ///< failing cases, that first found among them
constexpr int64_t most_runs_each = 60;  ///< for a case beside the one first found

bool is_of_values(const Finding& finding) {
  const FailureKind kind = finding.last.verdict.failure;
  // What a cache says of itself may be wrong because of what it does with its tokens.
  if (kind == FailureKind::shape) return finding.original.cached();
  return kind == FailureKind::mismatch || kind == FailureKind::nan || kind == FailureKind::ignored;
}

bool is_small(const Case& c) {
  const Problem& p = c.problem;
  int64_t tokens = p.kv_len;
  for (const Step& step : c.steps) tokens += step.has_tokens() ? step.keys() : 0;
  const int64_t sources = p.batch * p.num_kv_heads * tokens;
  return sources <= most_runs_each * std::max<int64_t>(1, p.head_dim_v);
}

/// The case first found, more that fail and one that passes, to tell one from the other.
std::vector<Case> cases_of(const Finding& finding, const FollowUps& near) {
  std::vector<Case> cases{finding.original};
  for (const Case& c : near.failing)
    if (cases.size() < most_measured && !(c == finding.original) && is_small(c)) cases.push_back(c);
  const auto passing = std::find_if(near.passing.begin(), near.passing.end(), is_small);
  if (passing != near.passing.end()) cases.push_back(*passing);
  return cases;
}

}  // namespace

void measure_finding(Target& target, Finding& finding, double seconds) {
  if (finding.last.verdict.failure == FailureKind::nondeterminism && finding.learned.alone)
    finding.measured = repeated_calls(target, finding.shrunk.c);
  if (!is_of_values(finding) || !finding.learned.alone || !finding.before.empty()) return;
  const FollowUps near = follow_up(target, finding, most_follow_ups, seconds);
  finding.trials = near.trials;
  Budget budget(most_runs, seconds);
  finding.measured = measure(target, cases_of(finding, near), budget).statements;
  if (finding.measured.empty())
    finding.measured = measure(target, std::array{finding.original}, budget).statements;
  if (finding.measured.empty())
    finding.measured = measure(target, std::array{finding.shrunk.c}, budget).statements;
}

}  // namespace attnfuzz::measure
