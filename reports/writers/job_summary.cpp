#include <fmt/format.h>

#include <algorithm>

#include "reports/reach_text.h"
#include "reports/story.h"
#include "reports/text.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

constexpr size_t most_findings = 40;  ///< told in full; a job's summary has a limit of 1 MiB

std::string headline(const Report& report) {
  const auto known = static_cast<int64_t>(std::count_if(
      report.items.begin(), report.items.end(), [](const auto& item) { return item.known; }));
  const auto fresh = static_cast<int64_t>(report.items.size()) - known;
  std::string line = fresh == 0 ? "no new finding" : text::count(fresh, "new finding");
  if (known > 0) line += fmt::format(", {} known", known);
  return line;
}

/// All of a finding on the page itself: a summary has no files beside it.
std::string finding(const Report::Item& item) {
  const Story story = tell(item);
  std::string out = fmt::format("<details><summary>{}</summary>\n\n{}\n\n", text::xml(story.title),
                                text::markdown(story.happened));
  const std::string& shown = story.named_text.empty() ? story.error_text : story.named_text;
  if (!shown.empty()) out += text::markdown_block(shown, "text") + "\n";
  if (!item.causes.empty())
    out += fmt::format("**Cause.** {}\n\n", text::markdown(text::clean(item.causes[0].words)));
  out += fmt::format("Seen {}, signature {}. {}\n\n", text::count(item.finding.count, "time"),
                     text::markdown_code(item.finding.signature),
                     item.finding.corpus.empty()
                         ? ""
                         : "From the corpus: " + text::markdown_code(item.finding.corpus) + ".");
  out += fmt::format("Replay {} on this case.json:\n\n{}\n</details>\n\n",
                     text::markdown_code(replay_command(item.finding, "case.json")),
                     text::markdown_block(story.case_json, "json"));
  return out;
}

/// What a campaign claims and did not reach, so that a green job says what it did not test.
std::string missed(const Report& report) {
  constexpr size_t most_lines = 8;
  std::string out;
  for (const auto& [target, stats] : report.targets) {
    const std::vector<std::string> lines = missed_goals(stats.reach, most_lines);
    if (!lines.empty())
      out += fmt::format("Not reached by {}:\n\n", text::markdown(text::line(target)));
    for (const std::string& goal : lines) out += fmt::format("- {}\n", text::markdown(goal));
    if (!lines.empty()) out += "\n";
  }
  return out;
}

}  // namespace

/// One page of Markdown that stands alone, for the summary of a CI job.
std::string write_job_summary(const Report& report) {
  std::string out = fmt::format("## attnfuzz: {}\n\n", headline(report));
  out +=
      "| target | cases | passed | failed | declined | seconds | reach "
      "|\n|---|---|---|---|---|---|---|\n";
  for (const auto& [target, stats] : report.targets)
    out += fmt::format("| {} | {} | {} | {} | {} | {:.1f} | {} |\n",
                       text::markdown(text::line(target)), stats.cases, stats.passed, stats.failed,
                       stats.skipped, stats.seconds, reach_headline(stats.reach));
  for (const auto& [target, why] : report.absent)
    out += fmt::format("| {} | skipped: {} | - | - | - | - | - |\n",
                       text::markdown(text::line(target)), text::markdown(text::line(why)));
  out += "\n" + missed(report);
  size_t told = 0, fresh = 0;
  for (const Report::Item& item : report.items)
    if (!item.known && ++fresh <= most_findings) {
      out += finding(item);
      ++told;
    }
  if (fresh > told) out += fmt::format("and {} more, in the report.\n\n", fresh - told);
  for (const Report::Item& item : report.items)
    if (item.known)
      out += fmt::format("- known: {} ({})\n", text::markdown(tell(item).title),
                         text::markdown_code(item.finding.signature));
  out += fmt::format("\nattnfuzz {}, seed {}, shard {} of {}\n",
                     text::markdown(text::line(report.version)), report.options.seed,
                     report.options.shard + 1, report.options.shards);
  return out;
}

}  // namespace attnfuzz
