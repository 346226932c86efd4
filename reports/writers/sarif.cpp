#include <map>
#include <nlohmann/json.hpp>

#include "reports/story.h"
#include "reports/text.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::ordered_json;

/// A known finding is suppressed: shown as dismissed. An empty list says that it is not.
Json suppressions(const Report::Item& item) {
  Json list = Json::array();
  if (item.known)
    list.push_back({{"kind", "external"}, {"justification", "in the baseline of known findings"}});
  return list;
}

}  // namespace

/// SARIF 2.1.0 (OASIS): a rule for each kind of failure, a result for each finding, its location
/// the case file. The signature is the fingerprint, so that the same bug stays the same alert.
std::string write_sarif(const Report& report) {
  Json rules = Json::array(), results = Json::array();
  std::map<FailureKind, size_t> rule_of;
  for (const Report::Item& item : report.items) {
    const Finding& f = item.finding;
    const FailureKind kind = f.last.verdict.failure;
    const std::string id = "attention-" + std::string(name(kind));
    if (rule_of.emplace(kind, rules.size()).second)
      rules.push_back({{"id", id},
                       {"shortDescription", {{"text", "Attention: " + std::string(name(kind))}}},
                       {"defaultConfiguration", {{"level", "error"}}}});
    const Story story = tell(item);
    std::string message = story.title + ".\n" + story.happened;
    if (!item.causes.empty()) message += "\nCause: " + text::clean(item.causes.front().words);
    const Json artifact{{"uri", "findings/" + f.signature + "/case.json"}, {"uriBaseId", "REPORT"}};
    results.push_back(
        {{"ruleId", id},
         {"ruleIndex", rule_of[kind]},
         {"level", "error"},
         {"message", {{"text", message}}},
         {"locations",
          Json::array(
              {{{"physicalLocation",
                 {{"artifactLocation", artifact}, {"region", {{"startLine", 1}}}}},
                {"logicalLocations", Json::array({{{"fullyQualifiedName", text::line(f.target)},
                                                   {"kind", "function"}}})}}})},
         {"baselineState", item.known ? "unchanged" : "new"},
         {"suppressions", suppressions(item)},
         {"partialFingerprints", {{"attnfuzzSignature/v1", f.signature}}},
         {"occurrenceCount", std::max<int64_t>(1, f.count)},
         {"properties",
          {{"targetVersion", text::line(f.version)}, {"case", one_line(f.shrunk.c)}}}});
  }
  const Json driver{{"name", "attnfuzz"}, {"version", report.version}, {"rules", rules}};
  const Json log{
      {"$schema",
       "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
       "sarif-schema-2.1.0.json"},
      {"version", "2.1.0"},
      {"runs", Json::array({{{"tool", {{"driver", driver}}},
                             {"originalUriBaseIds",
                              {{"REPORT", {{"description", {{"text", "The report's folder."}}}}}}},
                             {"columnKind", "unicodeCodePoints"},
                             {"results", results}}})}};
  return log.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attnfuzz
