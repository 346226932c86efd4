#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/item_json.h"
#include "reports/story.h"
#include "reports/text.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Reach& reach) {
  Json json{{"goals", reach.size()}, {"reached", Json::array()}, {"missed", Json::object()}};
  for (const auto& [goal, why] : reach)
    if (why.empty())
      json["reached"].push_back(goal);
    else
      json["missed"][goal] = why;
  return json;
}

}  // namespace

/// summary.json:
///   attnfuzz     format version (1)       version, environment, seed, shard [i, n], interrupted
///   targets[]    target, cases, passed, failed, skipped, seconds,
///                timed_cases (all but those of the corpus), judged_seconds (for them, without
///                shrinking, over all processes), target_seconds (of those, in the target itself),
///                overhead{microseconds_per_case, share of judged_seconds}, worst_ratio,
///                features{word: n},
///                reach{goals: how many, reached: [goal], missed: {goal: why}}
///   absent[]     target, why: asked for, but not to be run on this machine
///   findings[]   title, happened, expected, then all fields of item_to_json: target, version,
///                signature, failure, causes[{name, words}], case, shrink{history, tried, minimal},
///                original, first, last, count, first_seen, last_seen, repro, environment; known:
///                in the baseline
/// parse_summary() reads it again.
std::string write_json(const Report& report) {
  Json json{{"attnfuzz", 1},
            {"version", report.version},
            {"environment", report.environment},
            {"seed", report.options.seed},
            {"shard", {report.options.shard, report.options.shards}}};
  bool interrupted = false;
  json["targets"] = Json::array();
  for (const auto& [target, stats] : report.targets) {
    interrupted = interrupted || stats.interrupted;
    const bool finite = std::isfinite(stats.worst_ratio);
    json["targets"].push_back({{"target", target},
                               {"cases", stats.cases},
                               {"passed", stats.passed},
                               {"failed", stats.failed},
                               {"skipped", stats.skipped},
                               {"seconds", stats.seconds},
                               {"timed_cases", stats.timed_cases},
                               {"judged_seconds", stats.judged_seconds},
                               {"target_seconds", stats.target_seconds},
                               {"overhead",
                                {{"microseconds_per_case", stats.overhead_of_case() * 1e6},
                                 {"share", stats.overhead_share()}}},
                               {"worst_ratio", finite ? Json(stats.worst_ratio) : Json(nullptr)},
                               {"features", stats.features},
                               {"reach", to_json(stats.reach)}});
  }
  json["interrupted"] = interrupted;
  json["absent"] = Json::array();
  for (const auto& [target, why] : report.absent)
    json["absent"].push_back({{"target", target}, {"why", text::line(why)}});
  json["findings"] = Json::array();
  for (const Report::Item& item : report.items) {
    const Story story = tell(item);
    Json each{{"title", story.title}, {"happened", story.happened}, {"expected", story.expected}};
    each.update(Json::parse(item_to_json(item)));
    each["known"] = item.known;
    json["findings"].push_back(std::move(each));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attnfuzz
