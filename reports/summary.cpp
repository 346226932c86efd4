#include "reports/summary.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "oracle/build.h"
#include "oracle/strict_json.h"
#include "reports/environment.h"
#include "reports/item_json.h"
#include "reports/store.h"
#include "reports/text.h"
#include "reports/text_file.h"

namespace attnfuzz {
namespace {

CampaignStats stats_of(const nlohmann::json& json) {
  CampaignStats stats;
  stats.cases = json.at("cases").get<uint64_t>();
  stats.passed = json.at("passed").get<uint64_t>();
  stats.failed = json.at("failed").get<uint64_t>();
  stats.skipped = json.at("skipped").get<uint64_t>();
  stats.seconds = json.at("seconds").get<double>();
  stats.timed_cases = json.value("timed_cases", uint64_t{0});  // older ones have none
  stats.judged_seconds = json.value("judged_seconds", 0.0);
  stats.target_seconds = json.value("target_seconds", 0.0);
  stats.features = json.at("features").get<std::map<std::string, uint64_t>>();
  if (json.contains("reach")) {  // older ones have none
    for (const auto& goal : json.at("reach").at("reached")) stats.reach[goal.get<std::string>()];
    for (const auto& [goal, why] : json.at("reach").at("missed").items())
      stats.reach[goal] = why.get<std::string>();
  }
  const nlohmann::json& ratio = json.at("worst_ratio");  // null: it was infinite
  stats.worst_ratio =
      ratio.is_null() ? std::numeric_limits<double>::infinity() : ratio.get<double>();
  return stats;
}

}  // namespace

Report parse_summary(std::string_view text, const std::string& where) try {
  constexpr int format_version = 1;
  const nlohmann::json json = parse_json(text, where);
  if (json.at("attnfuzz").get<int>() != format_version)
    throw InputError(where, "/attnfuzz", fmt::format("expected version {}", format_version));
  Report summary;
  summary.version = json.at("version").get<std::string>();
  summary.environment = json.at("environment").get<std::string>();
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
  for (const nlohmann::json& each : json.at("findings")) {
    summary.items.push_back(item_from_json(each.dump(), where));
    summary.items.back().known = each.value("known", false);
  }
  return summary;
} catch (const nlohmann::json::exception& error) {
  throw InputError(where, "",
                   fmt::format("expected a run's summary.json ({})", text::line(error.what())));
}

RunRecord read_run(const std::filesystem::path& dir) {
  const std::filesystem::path store = dir / "findings.sqlite", summary = dir / "summary.json";
  if (std::filesystem::exists(summary)) {
    Report report = parse_summary(read_text(summary), summary.string());
    const bool ran = !report.targets.empty() || !report.absent.empty();
    if (ran || !std::filesystem::exists(store)) return {std::move(report)};
  } else if (!std::filesystem::exists(store)) {
    throw InputError(dir.string(), "",
                     "expected the folder of a run (with summary.json or findings.sqlite in it)");
  }
  RunRecord killed{{}, false};
  killed.report.version = build::version();
  killed.report.environment = environment_text();
  killed.report.items = read_store(store.string());
  return killed;
}

}  // namespace attnfuzz
