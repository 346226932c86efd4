#include <fmt/format.h>

#include <map>

#include "reports/reach_text.h"
#include "reports/story.h"
#include "reports/text.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

std::string test_case(const Report::Item& item) {
  const Story story = tell(item);
  std::string body = story.happened + "\n";
  if (!story.error_text.empty()) body += story.error_text + "\n";
  for (const Cause& cause : item.causes) body += "Cause: " + text::clean(cause.words) + "\n";
  body += "\n" + story.case_json;
  if (item.known)
    return fmt::format(
        "    <testcase name=\"{}\" classname=\"{}\" time=\"0\">\n      <skipped message=\"known, "
        "in "
        "the baseline: {}\"/>\n    </testcase>\n",
        text::xml(item.finding.signature), text::xml(text::line(item.finding.target)),
        text::xml(story.title));
  return fmt::format(
      "    <testcase name=\"{}\" classname=\"{}\" time=\"0\">\n      <failure message=\"{}\" "
      "type=\"{}\">{}</failure>\n    </testcase>\n",
      text::xml(item.finding.signature), text::xml(text::line(item.finding.target)),
      text::xml(story.title), name(item.finding.last.verdict.failure), text::xml(body));
}

/// The campaign's targets, and those that only a finding names (a report from a store).
std::map<std::string, CampaignStats> all_targets(const Report& report) {
  std::map<std::string, CampaignStats> targets(report.targets.begin(), report.targets.end());
  for (const Report::Item& item : report.items) targets[item.finding.target];
  return targets;
}

/// How many goals were reached, and each that was not, as properties of a test suite.
std::string reach_properties(const Reach& reach) {
  if (reach.empty()) return {};
  const auto property = [](std::string_view key, std::string_view value) {
    return fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", text::xml(key),
                       text::xml(value));
  };
  std::string out = "    <properties>\n" + property("reach", reach_headline(reach));
  for (const auto& [goal, why] : reach)
    if (!why.empty()) out += property("not reached: " + goal, why);
  return out + "    </properties>\n";
}

}  // namespace

/// The usual form (Jenkins' and Surefire's): a test suite for each target; in it a failed test case
/// for each finding (a skipped one if it is known), and one that passes for the campaign itself. Of
/// a target that can't be run here a skipped one alone.
std::string write_junit(const Report& report) {
  std::string suites;
  size_t failures = 0, tests = 0;
  double seconds = 0;
  for (const auto& [target, stats] : all_targets(report)) {
    std::string cases;
    size_t failed = 0, skipped = 0;
    for (const Report::Item& item : report.items)
      if (item.finding.target == target) {
        cases += test_case(item);
        ++(item.known ? skipped : failed);
      }
    const std::string clean_name = text::xml(text::line(target));
    cases += fmt::format(
        "    <testcase name=\"campaign of {} cases, seed {}\" classname=\"{}\" time=\"{:.3f}\"/>\n",
        stats.cases, report.options.seed, clean_name, stats.seconds);
    suites += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" "
        "time=\"{:.3f}\">\n{}{}  </testsuite>\n",
        clean_name, failed + skipped + 1, failed, skipped, stats.seconds,
        reach_properties(stats.reach), cases);
    failures += failed;
    tests += failed + skipped + 1;
    seconds += stats.seconds;
  }
  for (const auto& [target, why] : report.absent) {
    const std::string clean_name = text::xml(text::line(target));
    suites += fmt::format(
        "  <testsuite name=\"{0}\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"1\" "
        "time=\"0.000\">\n    <testcase name=\"campaign\" classname=\"{0}\" time=\"0\">\n      "
        "<skipped message=\"{1}\"/>\n    </testcase>\n  </testsuite>\n",
        clean_name, text::xml(text::line(why)));
    ++tests;
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"attnfuzz\" tests=\"{}\" "
      "failures=\"{}\" errors=\"0\" time=\"{:.3f}\">\n{}</testsuites>\n",
      tests, failures, seconds, suites);
}

}  // namespace attnfuzz
