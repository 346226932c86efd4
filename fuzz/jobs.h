#pragma once
#include <functional>
#include <memory>

#include "fuzz/campaign.h"

namespace attnfuzz {

/// Opens the target; each process opens its own.
using OpenTarget = std::function<std::unique_ptr<Target>()>;

/// run_campaign in `jobs` forked processes. Where a case's failure is its own, the findings are
/// those of one process, whatever `jobs`: failures are taken in the order of their cases, and the
/// case of a finding is the first that shows it. Which cases fail by what a target keeps from case
/// to case depends on those that the same process runs, so on `jobs` too. What kills or hangs the
/// process of a target without a worker becomes a finding and costs one fork. Must be called before
/// any thread is made.
CampaignStats run_campaign_jobs(const OpenTarget& open, const CampaignOptions& options, int jobs,
                                const CampaignEvents& events);

}  // namespace attnfuzz
