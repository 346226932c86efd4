#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz {

/// What summary.json says of a run, apart from its findings.
struct Summary {
  std::string version;
  CampaignOptions options;  ///< seed, shard and shards alone
  std::vector<std::pair<std::string, CampaignStats>> targets;
  std::vector<std::pair<std::string, std::string>> absent;  ///< as in Report
};

/// Throws InputError for a text that is no summary.json.
Summary parse_summary(std::string_view json, const std::string& where);

}  // namespace attnfuzz
