#include "fuzz/known.h"

#include <algorithm>

namespace attnfuzz {

const KnownFailures::Failure* KnownFailures::find(const FailureClass& failure) const {
  const auto known = std::find_if(failures_.begin(), failures_.end(), [&](const Failure& entry) {
    return entry.learned.covers(failure);
  });
  return known == failures_.end() ? nullptr : &*known;
}

const FailureClass* KnownFailures::not_alone() const {
  const auto known = std::find_if(failures_.begin(), failures_.end(),
                                  [](const Failure& entry) { return !entry.learned.alone; });
  return known == failures_.end() ? nullptr : &known->learned;
}

bool KnownFailures::count(std::string_view original_signature, const FailureClass& original,
                          CampaignStats& stats) {
  const auto seen = seen_.find(original_signature);
  const Failure* known = seen == seen_.end() ? find(original) : nullptr;
  if (seen == seen_.end() && known == nullptr) return false;
  ++stats.signatures[known != nullptr ? known->signature : seen->second];
  return true;
}

bool KnownFailures::add(const Finding& finding, CampaignStats& stats) {
  const Failure* known = find(finding.learned);
  for (const Failure& entry : failures_)
    if (entry.signature == finding.signature) known = &entry;
  const std::string& signature = known != nullptr ? known->signature : finding.signature;
  seen_.try_emplace(finding.first.signature, signature);
  ++stats.signatures[signature];
  if (known == nullptr) failures_.push_back({signature, finding.learned});
  return known == nullptr;
}

}  // namespace attnfuzz
