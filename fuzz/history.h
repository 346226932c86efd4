#pragma once
#include <vector>

#include "fuzz/campaign.h"
#include "fuzz/reach/sequence.h"

namespace attnfuzz {

/// What a process of a campaign has behind it when it comes to a case: every stride-th case from
/// its first one on. The sequence must outlive it.
class History {
 public:
  History(Sequence& sequence, CampaignOptions options, uint64_t first, uint64_t index,
          uint64_t stride);

  /// Those cases, at most so many, the newest last.
  std::vector<Case> cases(uint64_t most) const;
  /// All that was run for them: the repetitions of a case for its properties and the other cases of
  /// relations too. Runs them once more, in a new process of the target, until `stop` says so.
  std::vector<Case> runs(Target& target, const Stop& stop) const;

 private:
  Sequence& sequence_;
  CampaignOptions options_;  ///< its shard: the process's first case
  uint64_t index_, stride_;
};

}  // namespace attnfuzz
