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
  const bool is_other = known == nullptr;
  for (const Failure& entry : failures_)
    if (entry.signature == finding.signature) known = &entry;
  measure::Bug bug = measure::bug_of(finding);
  for (size_t n = 0; n < bugs_.size() && known == nullptr; ++n)
    if (measure::is_same(bugs_[n], bug)) known = &failures_[n];
  const bool is_new = known == nullptr;
  const std::string signature = is_new ? finding.signature : known->signature;
  seen_.try_emplace(finding.first.signature, signature);
  ++stats.signatures[signature];
  bug.signature = signature;
  if (is_other) {
    failures_.push_back({signature, finding.learned});
    bugs_.push_back(std::move(bug));
  }
  findings_ += is_new ? 1 : 0;
  return is_new;
}

}  // namespace attnfuzz
