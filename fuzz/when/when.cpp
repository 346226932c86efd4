#include "fuzz/when/when.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/clock.h"
#include "fuzz/fault_check.h"
#include "fuzz/mutate.h"
#include "fuzz/when/neighbours.h"
#include "fuzz/when/samples.h"

namespace attnfuzz::when {
namespace {

using measure::Where;

constexpr size_t most_neighbours = 80, cases_a_round = 24;
constexpr int most_rounds = 6;
constexpr size_t one_in = 8;  ///< of the wrong ones so many may be right where a condition holds
constexpr size_t enough = 3;  ///< cases that fail, and that pass, before a condition is said

/// Learns from cases until a round of new ones changes nothing.
class Learner {
 public:
  Learner(Target& target, const Finding& finding, double seconds)
      : finding_(finding),
        mutator_(target.info().capabilities),
        samples_(target, finding),
        seconds_(seconds) {}

  std::optional<measure::Statement> statement() {
    samples_.add(finding_.original);
    samples_.add(finding_.shrunk.c);
    for (const Case& c : neighbours(finding_.shrunk.c, most_neighbours))
      if (!is_over()) samples_.add(c);
    add_round();
    Where::Condition now = samples_.where().nearly(one_in);
    for (int round = 0; round < most_rounds && !is_over(); ++round) {
      add_round();
      const Where::Condition then = std::move(now);
      now = samples_.where().nearly(one_in);
      if (now.found && now.words == then.words) return statement_of(now);
    }
    return {};
  }
  const std::vector<Case>& failing() const { return samples_.failing_cases(); }

 private:
  bool is_over() const {
    constexpr size_t most_ended = 8;
    return seconds_since(start_) > seconds_ || samples_.ended() >= most_ended;
  }

  /// New cases, near those that fail.
  void add_round() {
    for (size_t n = 0; n < cases_a_round && !is_over(); ++n, ++drawn_) {
      constexpr uint64_t other_draws = 1000000;  // than those of other experiments
      const std::unique_ptr<Draw> draw = seeded_draw(finding_.seed, other_draws + drawn_);
      const std::vector<Case>& failing = samples_.failing_cases();
      const Case& near = failing.empty() || n % 3 == 0
                             ? finding_.shrunk.c
                             : failing[static_cast<size_t>(
                                   draw->between(0, static_cast<int64_t>(failing.size()) - 1))];
      samples_.add(mutator_.mutate(Case(near), *draw));
    }
  }

  std::optional<measure::Statement> statement_of(const Where::Condition& condition) const {
    if (condition.words.empty() || samples_.failing() < enough || samples_.passing() < enough)
      return {};
    const size_t held = samples_.where().marked() + condition.unmarked;
    const std::string share =
        condition.unmarked == 0
            ? ""
            : fmt::format(", {} of {} of these", samples_.where().marked(), held);
    const bool exact = condition.unmarked == 0;
    return measure::Statement{
        exact ? "when" : "mostly",
        fmt::format("It happens {} in {} with: {} (over {} failing and {} passing cases{}).",
                    exact ? "exactly" : "only", samples_.units(), condition.words,
                    samples_.failing(), samples_.passing(), share)};
  }

  const Clock::time_point start_ = Clock::now();
  const Finding& finding_;
  const Mutator mutator_;
  Samples samples_;
  double seconds_;
  uint64_t drawn_ = 0;
};

/// Holds the faults that explain all that failed so far against more cases.
void try_faults(Target& target, Finding& finding, const std::vector<Case>& failing) {
  constexpr size_t most = 12;
  const auto explains = [](const measure::Trial& trial) { return trial.explains_all(); };
  if (std::none_of(finding.trials.begin(), finding.trials.end(), explains)) return;
  const size_t stride = 1 + failing.size() / most;
  for (size_t n = 0; n < failing.size(); n += stride) {
    const std::vector<std::string> none;
    const Examination done = examine(target, failing[n], false, &none);
    if (!done.verdict.failed()) continue;
    const Inputs inputs = make_inputs(failing[n]);
    const FaultCheck check(failing[n], inputs, done.precision, done.outcome);
    for (const Fault& fault : faults())
      for (measure::Trial& trial : finding.trials) {
        if (trial.fault != fault.name || !trial.explains_all()) continue;
        ++trial.failing;
        trial.explained += check.predicts(fault) ? 1 : 0;
      }
  }
}

}  // namespace

std::vector<Case> measure_condition(Target& target, Finding& finding, double seconds) {
  const FailureKind kind = finding.last.verdict.failure;
  // Other failures cost a process, or seconds, for each case.
  if (kind != FailureKind::mismatch && kind != FailureKind::nan && kind != FailureKind::shape &&
      kind != FailureKind::error)
    return {};
  Learner learner(target, finding, seconds);
  std::optional<measure::Statement> statement = learner.statement();
  if (statement) {
    finding.measured.push_back(std::move(*statement));
    try_faults(target, finding, learner.failing());
  }
  return learner.failing();
}

}  // namespace attnfuzz::when
