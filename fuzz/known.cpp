#include "fuzz/known.h"

#include <algorithm>

namespace attnfuzz {

bool KnownFailures::count(std::string_view original_signature, const FailureClass& original,
                          CampaignStats& stats) {
  const auto seen = seen_.find(original_signature);
  if (seen != seen_.end()) {
    ++stats.signatures[seen->second];
    return true;
  }
  const auto known = std::find_if(failures_.begin(), failures_.end(), [&](const Failure& failure) {
    return failure.shrunk.covers(original);
  });
  if (known == failures_.end()) return false;
  ++stats.signatures[known->signature];
  return true;
}

bool KnownFailures::add(const Finding& finding, CampaignStats& stats) {
  seen_.try_emplace(finding.first.signature, finding.signature);
  const bool known = std::any_of(failures_.begin(), failures_.end(), [&](const Failure& failure) {
    return failure.signature == finding.signature;
  });
  if (!known)
    failures_.push_back({finding.signature, classify(finding.shrunk.c, finding.last.verdict)});
  ++stats.signatures[finding.signature];
  return !known;
}

}  // namespace attnfuzz
