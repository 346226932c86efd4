#pragma once
#include <stdexcept>

namespace attnfuzz {

/// Whoever waits for a worker, or for processes of a campaign, is not to wait any longer
/// (WorkerLimits::waiting and CampaignEvents::progress may throw it). A campaign then returns at
/// once with what it has; failures that are not shrunk yet are announced as they were found.
class GivenUp : public std::runtime_error {
 public:
  GivenUp() : std::runtime_error("stopped at once") {}
};

}  // namespace attnfuzz
