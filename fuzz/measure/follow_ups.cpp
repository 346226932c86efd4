#include "fuzz/measure/follow_ups.h"

#include <algorithm>

#include "fuzz/mutate.h"

namespace attnfuzz::measure {
namespace {

constexpr size_t most_faults = 12;

bool has(const std::vector<const Fault*>& fits, const Fault* fit) {
  return std::find(fits.begin(), fits.end(), fit) != fits.end();
}

/// Those that fit the case as first found come first.
std::vector<const Fault*> faults_of(const Finding& finding) {
  std::vector<const Fault*> all = finding.first.verdict.fits;
  for (const Fault* fit : finding.last.verdict.fits)
    if (!has(all, fit)) all.push_back(fit);
  all.resize(std::min(all.size(), most_faults));
  return all;
}

bool is_wrong_value(const Verdict& verdict) {
  return verdict.failed() &&
         (verdict.failure == FailureKind::mismatch || verdict.failure == FailureKind::shape ||
          verdict.failure == FailureKind::nan || verdict.failure == FailureKind::ignored);
}

}  // namespace

FollowUps follow_up(Target& target, const Finding& finding, int64_t most, double seconds) {
  FollowUps all;
  const std::vector<const Fault*> faults = faults_of(finding);
  for (const Fault* fault : faults)
    all.trials.push_back({std::string(fault->name), has(finding.first.verdict.fits, fault)});
  const Capabilities& capabilities = target.info().capabilities;
  const Mutator mutator(capabilities);
  const Budget budget(most, seconds);
  const std::vector<std::string> none;
  for (int64_t n = 0; n <= most && budget.elapsed() < seconds; ++n) {
    const std::unique_ptr<Draw> draw = seeded_draw(finding.seed, static_cast<uint64_t>(n));
    const Case c = n == 0 ? finding.original : mutator.mutate(finding.original, *draw);
    if (!capabilities.why_not(c).empty()) continue;
    const Examination done = examine(target, c, false, &none);
    const bool passes = done.verdict.kind == VerdictKind::pass;
    if (!passes && !is_wrong_value(done.verdict)) continue;
    (passes ? all.passing : all.failing).push_back(c);
    const Inputs inputs = make_inputs(c);
    for (size_t f = 0; f < faults.size(); ++f) {
      const bool holds = predicts(*faults[f], c, inputs, done.precision, done.outcome);
      Trial& trial = all.trials[f];
      (passes ? trial.passing : trial.failing) += 1;
      (passes ? trial.kept : trial.explained) += holds ? 1 : 0;
    }
  }
  return all;
}

}  // namespace attnfuzz::measure
