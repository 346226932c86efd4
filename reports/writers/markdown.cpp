#include <fmt/format.h>

#include "fuzz/elements.h"
#include "reports/reach_text.h"
#include "reports/show.h"
#include "reports/story.h"
#include "reports/text.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

std::string causes(const Report::Item& item) {
  if (item.causes.empty()) return "";
  // Where the wrong elements lie is no cause of it.
  const bool located = item.causes.front().name == "location";
  std::string out = located ? "**Cause.** Not known. **Where.** " : "**Cause.** ";
  for (size_t k = 0; k < item.causes.size(); ++k) {
    const Cause& cause = item.causes[k];
    out += fmt::format("{}{} ({})\n", k == 0 ? "" : "- ", text::markdown(text::clean(cause.words)),
                       text::markdown_code(text::line(cause.name)));
    if (k == 0 && item.causes.size() > 1) out += "\nAlso possible:\n\n";
  }
  return out + "\n";
}

/// Declared and measured, drawn.
std::string pictures(const Finding& finding) {
  std::string out;
  for (const measure::Statement& each : finding.measured)
    if (each.about == "picture") out += text::markdown_block(each.words, "text") + "\n";
  return out;
}

std::string table(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string out = "| axis or option | value |\n|---|---|\n";
  for (const auto& [key, value] : rows)
    out += fmt::format("| {} | {} |\n", text::markdown(key), text::markdown(value));
  return out;
}

std::string mask(const Finding& f) {
  const Case& c = f.shrunk.c;
  if (c.cached() || c.problem.batch == 0 || c.problem.num_heads == 0 ||
      c.problem.mask.rules.empty())
    return "";
  const int64_t b = f.last.verdict.worst.b, head = query_head(c, f.last.verdict.worst);
  return fmt::format("\nMask of batch row {}, head {}:\n\n{}", b, head,
                     text::markdown_block(draw_mask(c, b, head, true), "text"));
}

}  // namespace

std::string finding_markdown(const Report::Item& item) {
  const Story story = tell(item);
  const Finding& f = item.finding;
  std::string out = fmt::format("# {}\n\n**What happened.** {}\n\n", text::markdown(story.title),
                                text::markdown(story.happened));
  const std::string& shown = story.named_text.empty() ? story.error_text : story.named_text;
  if (!shown.empty()) out += text::markdown_block(shown, "text") + "\n";
  out += fmt::format("**Expected.** {}\n\n", text::markdown(story.expected));
  out += causes(item) + pictures(f);
  out += fmt::format("**Replay.** {}\n", text::markdown_code(replay_command(f, "case.json")));
  if (!item.repro.empty())
    out += fmt::format("{}: {}, exit 1 while the bug is there.\n",
                       needs_attnfuzz(item.repro) || f.target.starts_with("python:")
                           ? "As a script"
                           : "Without attnfuzz",
                       text::markdown_code(text::line(item.repro)));
  out += "\n## The case\n\n" + text::markdown(describe(f.shrunk.c)) + "\n";
  out += table(story.axes);
  out += mask(f);
  out += "\ncase.json:\n\n" + text::markdown_block(story.case_json, "json");
  out += fmt::format("\n## How it was found\n\nFound in {}. {}\n", story.place, story.minimal);
  if (!f.shrunk.history.empty()) {
    out += fmt::format("\n{} → {}\n\n", text::markdown_code(one_line(f.original)),
                       text::markdown_code(one_line(f.shrunk.c)));
    for (const std::string& step : f.shrunk.history)
      out += fmt::format("1. {}\n", text::markdown(text::line(step)));
  }
  if (!story.named_text.empty())
    out += "\nThe error as it was raised:\n\n" + text::markdown_block(story.error_text, "text");
  out += fmt::format(
      "\n## Environment\n\n{} {}, attnfuzz signature {}{}\n", text::markdown(text::line(f.target)),
      text::markdown(text::line(f.version)), text::markdown_code(f.signature),
      item.environment.empty() ? "" : ". " + text::markdown(text::line(item.environment, 400)));
  return out;
}

constexpr size_t most_missed_lines = 8;

std::string write_markdown(const Report& report) {
  std::string out = fmt::format("# attnfuzz: {}\n\n",
                                text::count(static_cast<int64_t>(report.items.size()), "finding"));
  out +=
      "| target | cases | passed | failed | skipped | worst passing error / bound | reach |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const auto& [target, stats] : report.targets)
    out += fmt::format("| {} | {} | {} | {} | {} | {:.3g} | {} |\n",
                       text::markdown(text::line(target)), stats.cases, stats.passed, stats.failed,
                       stats.skipped, stats.worst_ratio, reach_headline(stats.reach));
  for (const auto& [target, why] : report.absent)
    out += fmt::format("| {} | skipped: {} | - | - | - | - | - |\n",
                       text::markdown(text::line(target)), text::markdown(text::line(why)));
  for (const auto& [target, stats] : report.targets)
    for (const std::string& goals : missed_goals(stats.reach, most_missed_lines))
      out += fmt::format("\nNot reached by {}: {}\n", text::markdown(text::line(target)),
                         text::markdown(goals));
  out += "\n";
  if (!report.items.empty()) out += "| finding | times | cause |\n|---|---|---|\n";
  for (const Report::Item& item : report.items)
    out += fmt::format(
        "| [{}](findings/{}/report.md) | {} | {} |\n", text::markdown(tell(item).title),
        item.finding.signature, item.finding.count,
        item.causes.empty() ? "" : text::markdown(text::line(item.causes.front().words, 400)));
  out += fmt::format("\nattnfuzz {}, {}\n", text::markdown(text::line(report.version)),
                     text::markdown(text::line(report.environment, 400)));
  return out;
}

}  // namespace attnfuzz
