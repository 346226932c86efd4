#pragma once
#include <functional>
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz {

class KnownFailures;

/// The cases that the target's process ran before a finding's, the newest last; at most so many.
using Earlier = std::function<std::vector<Case>(uint64_t most)>;

/// A target as it is after some cases: each of its new processes runs them first.
class After final : public Target {
 public:
  /// Once `stop` says so, no more of them are run. The target must outlive it.
  After(Target& target, std::vector<Case> before, Stop stop = {})
      : target_(target), before_(std::move(before)), stop_(std::move(stop)) {}
  const TargetInfo& info() const override { return target_.info(); }
  Outcome run(const Case& c, const Inputs& inputs) override { return target_.run(c, inputs); }
  bool restart() override;
  void use_threads(int count) override { target_.use_threads(count); }

 private:
  Target& target_;
  std::vector<Case> before_;
  Stop stop_;
};

struct ReplayableOptions {
  int64_t max_tries = 20000;
  Stop stop = {};
  Earlier earlier = {};  ///< empty: none ran
  /// Every run that the process had behind it: those of earlier(), the repetitions of a case for
  /// its properties, and the other cases of relations. Asked where earlier() alone makes nothing
  /// fail.
  std::function<std::vector<Case>()> runs = {};
  const KnownFailures* known = nullptr;  ///< of the campaign: what to count a case to that is not
                                         ///< worth a search of its own
  double max_diagnose = 20;              ///< as CampaignOptions
};

/// shrink_finding() to a case that fails in a new process as well: what a process keeps from one
/// case to the next (a mask cached by too few sizes, state that a reset leaves, memory that is not
/// initialised) must not lead the shrinker to a case that nobody else sees fail. Where the original
/// passes in a new process, it is tried after cases that ran before it, as far back as there are
/// any, and the fewest that are needed become finding.before; where none helps, the finding is
/// nondeterminism.
void shrink_replayable(Target& target, Finding& finding, const ReplayableOptions& options = {});

/// The same, and `tell`s of the finding as it was found if it is GivenUp meanwhile.
void shrink_or_give_up(Target& target, Finding& finding, const ReplayableOptions& options,
                       const std::function<void(const Finding&)>& tell);

/// The last part of it, for a case that has passed in a new process; finding.first.verdict is that
/// of the process in which it failed.
void search_earlier(Target& target, Finding& finding, const ReplayableOptions& options);

}  // namespace attnfuzz
