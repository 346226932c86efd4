#include "fuzz/measure/follow_ups.h"

#include <algorithm>
#include <cmath>

#include "fuzz/fault_check.h"
#include "fuzz/mutate.h"

namespace attnfuzz::measure {
namespace {

constexpr size_t most_faults = 12;
using Faults = std::vector<const Fault*>;

bool has(const Faults& fits, const Fault* fit) {
  return std::find(fits.begin(), fits.end(), fit) != fits.end();
}

/// Those that fit the case as first found come first.
Faults faults_of(const Finding& finding) {
  Faults all = finding.first.verdict.fits;
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

bool apart(const std::vector<double>& a, const std::vector<double>& a_bound,
           const std::vector<double>& b, const std::vector<double>& b_bound) {
  if (a.size() != b.size()) return true;
  for (size_t e = 0; e < a.size(); ++e) {
    if (std::isnan(a[e]) && std::isnan(b[e])) continue;
    // Where either says nothing, the bound is infinite.
    if (!(std::abs(a[e] - b[e]) <= a_bound[e] + b_bound[e])) return true;
  }
  return false;
}

/// Whether no outcome can be both answers.
bool apart(const Answer& a, const Answer& b) {
  if (a.steps.size() != b.steps.size()) return true;
  for (size_t s = 0; s < a.steps.size(); ++s) {
    const StepAnswer &x = a.steps[s], &y = b.steps[s];
    if (x.lengths != y.lengths || x.positions != y.positions || x.more.size() != y.more.size() ||
        apart(x.out, x.bound, y.out, y.bound))
      return true;
    for (size_t n = 0; n < x.more.size(); ++n)
      if (apart(x.more[n].values, x.more[n].bound, y.more[n].values, y.more[n].bound)) return true;
  }
  return false;
}

/// Whether a case tells some of these faults from the first one.
bool separates(const Faults& faults, const Case& c, const Precision& precision) {
  const Inputs inputs = make_inputs(c);
  std::optional<Answer> first;
  for (const Fault* fault : faults) {
    std::optional<Answer> meant = faulty_answer(*fault, c, inputs, precision);
    if (!meant) meant = answer(c, inputs, precision);
    if (!first)
      first = std::move(meant);
    else if (apart(*first, *meant))
      return true;
  }
  return false;
}

/// The trials of a finding's faults.
class Trials {
 public:
  Trials(Target& target, const Finding& finding, FollowUps& all)
      : target_(target), faults_(faults_of(finding)), all_(all) {
    for (const Fault* fault : faults_)
      all.trials.push_back({std::string(fault->name), has(finding.first.verdict.fits, fault)});
  }

  /// Runs a case, and holds each fault against what came out. `first`: the case as first found.
  void add(const Case& c, bool first) {
    const std::vector<std::string> none;
    const Examination done = examine(target_, c, false, &none);
    const bool passes = done.verdict.kind == VerdictKind::pass;
    if (!passes && !is_wrong_value(done.verdict)) return;
    (passes ? all_.passing : all_.failing).push_back(c);
    const Inputs inputs = make_inputs(c);
    const FaultCheck check(c, inputs, done.precision, done.outcome);
    for (size_t f = 0; f < faults_.size(); ++f) {
      const bool holds = check.predicts(*faults_[f]);
      Trial& trial = all_.trials[f];
      trial.first |= first && !passes && holds;
      (passes ? trial.passing : trial.failing) += 1;
      (passes ? trial.kept : trial.explained) += holds ? 1 : 0;
    }
  }

  /// The faults that stand up to all cases so far, wherever they happen.
  Faults shown() const {
    return faults_where([](const Trial& trial) { return trial.shown(); });
  }

 private:
  Faults faults_where(const auto& holds) const {
    Faults some;
    for (size_t f = 0; f < faults_.size(); ++f)
      if (holds(all_.trials[f])) some.push_back(faults_[f]);
    return some;
  }

  Target& target_;
  Faults faults_;
  FollowUps& all_;
};

}  // namespace

FollowUps follow_up(Target& target, const Finding& finding, int64_t most, double seconds) {
  FollowUps all;
  Trials trials(target, finding, all);
  const Capabilities& capabilities = target.info().capabilities;
  const Mutator mutator(capabilities);
  const Budget budget(most, seconds);
  // Then as many more, to tell faults apart that stand up to all so far.
  for (int64_t n = 0; n <= 2 * most && budget.elapsed() < seconds; ++n) {
    const Faults left = trials.shown();
    if (n > most && left.size() < 2) break;
    const std::unique_ptr<Draw> draw = seeded_draw(finding.seed, static_cast<uint64_t>(n));
    const Case& near = n % 2 == 0 ? finding.original : finding.shrunk.c;
    const Case c = n == 0 ? finding.original : mutator.mutate(near, *draw);
    if (!capabilities.rejection_reason(c).empty()) continue;
    if (n <= most || separates(left, c, capabilities.precision_of(c.problem.dtype)))
      trials.add(c, n == 0);
  }
  return all;
}

}  // namespace attnfuzz::measure
