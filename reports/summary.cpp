#include "reports/summary.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "oracle/strict_json.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

CampaignStats stats_of(const nlohmann::json& json) {
  CampaignStats stats;
  stats.cases = json.at("cases").get<uint64_t>();
  stats.passed = json.at("passed").get<uint64_t>();
  stats.failed = json.at("failed").get<uint64_t>();
  stats.skipped = json.at("skipped").get<uint64_t>();
  stats.seconds = json.at("seconds").get<double>();
  stats.features = json.at("features").get<std::map<std::string, uint64_t>>();
  const nlohmann::json& ratio = json.at("worst_ratio");  // null: it was infinite
  stats.worst_ratio =
      ratio.is_null() ? std::numeric_limits<double>::infinity() : ratio.get<double>();
  return stats;
}

}  // namespace

Summary parse_summary(std::string_view text, const std::string& where) try {
  constexpr int format_version = 1;
  const nlohmann::json json = parse_json(text, where);
  if (json.at("attnfuzz").get<int>() != format_version)
    throw InputError(where, "/attnfuzz", fmt::format("expected version {}", format_version));
  Summary summary;
  summary.version = json.at("version").get<std::string>();
  summary.options.seed = json.at("seed").get<uint64_t>();
  summary.options.shard = json.at("shard").at(0).get<uint64_t>();
  summary.options.shards = json.at("shard").at(1).get<uint64_t>();
  for (const nlohmann::json& each : json.at("targets")) {
    CampaignStats stats = stats_of(each);
    stats.interrupted = json.at("interrupted").get<bool>();
    summary.targets.emplace_back(each.at("target").get<std::string>(), std::move(stats));
  }
  if (json.contains("absent"))
    for (const nlohmann::json& each : json.at("absent"))
      summary.absent.emplace_back(each.at("target").get<std::string>(),
                                  each.at("why").get<std::string>());
  return summary;
} catch (const nlohmann::json::exception& error) {
  throw InputError(where, "",
                   fmt::format("expected a run's summary.json ({})", text::line(error.what())));
}

}  // namespace attnfuzz
