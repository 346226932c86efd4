#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "fuzz/campaign.h"
#include "fuzz/measure/bug.h"
#include "fuzz/signature.h"

namespace attnfuzz {

/// The failures that a campaign has shrunk so far. What it says depends on the order of the
/// failures alone: campaigns feed it in the order of their cases.
class KnownFailures {
 public:
  /// Counts the case to a failure that is known already, and says whether it was one.
  bool count(std::string_view original_signature, const FailureClass& original,
             CampaignStats& stats);
  /// Takes a shrunk failure; false if shrinking led to a known one.
  bool add(const Finding& finding, CampaignStats& stats);
  /// How many findings there are: failures that were measured to be the same bug are one.
  size_t size() const { return findings_; }
  /// The first of them that does not fail alone in a new process; nullptr: all do.
  const FailureClass* not_alone() const;
  /// The bugs of the failures, as far as they were measured.
  std::span<const measure::Bug> bugs() const { return bugs_; }

 private:
  struct Failure {
    std::string signature;  ///< of the finding that it belongs to
    FailureClass learned;
  };
  const Failure* find(const FailureClass& failure) const;

  std::vector<Failure> failures_;
  std::vector<measure::Bug> bugs_;  ///< of the failures, in their order
  size_t findings_ = 0;
  std::map<std::string, std::string, std::less<>> seen_;  ///< signature before → after shrinking
};

}  // namespace attnfuzz
