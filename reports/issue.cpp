#include "reports/issue.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/signature.h"
#include "oracle/case_io.h"
#include "reports/show.h"
#include "reports/story.h"
#include "reports/text.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

constexpr int64_t kMostReproLines = 30;
constexpr size_t kMostTitle = 140;

struct KindTitle {
  FailureKind kind;
  std::string_view words;
};
constexpr KindTitle kTitles[] = {
    {FailureKind::mismatch, "wrong output"},
    {FailureKind::nan, "NaN or infinity in the output"},
    {FailureKind::shape, "wrong output shape or cache length"},
    {FailureKind::error, "error"},
    {FailureKind::crash, "crash"},
    {FailureKind::timeout, "does not return"},
    {FailureKind::memory, "runs out of memory"},
    {FailureKind::nondeterminism, "different outputs for the same input"},
    {FailureKind::ignored, "option without effect"},
    {FailureKind::relation, "two outputs that must agree do not"},
};

/// What the case uses besides the plainest attention, in words: "causal, chunk, batch 2".
std::string used(const Case& c) {
  std::vector<std::string> words;
  for (const std::string& feature : features(c)) {
    static constexpr std::string_view plain[] = {"dtype:f32", "layout:bhsd", "cross"};
    if (std::find(std::begin(plain), std::end(plain), feature) != std::end(plain)) continue;
    static constexpr std::string_view told[] = {"rule:", "cache:", "step:", "dtype:", "layout:"};
    std::string word = feature;
    for (const std::string_view prefix : told)
      if (word.starts_with(prefix)) word.erase(0, prefix.size());
    if (word.find(':') == word.npos) words.push_back(word);
  }
  return text::list(words);
}

std::string title(const Finding& f) {
  std::string_view words = "failure";
  for (const KindTitle& row : kTitles)
    if (row.kind == f.last.verdict.failure) words = row.words;
  const std::string with = used(f.shrunk.c);
  return text::line(
      fmt::format("{}: {}{}", text::line(f.target), words, with.empty() ? "" : " with " + with),
      kMostTitle);
}

/// The program without its blank lines.
std::string packed(const std::string& program) {
  std::string out;
  for (size_t k = 0; k < program.size(); ++k)
    if (program[k] != '\n' || (!out.empty() && out.back() != '\n')) out += program[k];
  return out;
}

/// The program, if it is short enough for an issue; else the case and the command that reruns it.
std::string repro(const Finding& f) {
  const Repro program = make_repro(f);
  const std::string shown = packed(program.text);
  const bool python = program.file_name.ends_with(".py");
  if (python && std::count(shown.begin(), shown.end(), '\n') <= kMostReproLines)
    return "Exits 1 while the bug is there, 0 once it is fixed.\n\n" +
           text::markdown_block(shown, "python");
  std::string out;
  for (size_t k = 0; k < f.before.size(); ++k)
    out += fmt::format("{}\nSave it as `{}`.\n\n",
                       text::markdown_block(write_case(f.before[k]), "json"), before_file(k));
  return out +
         fmt::format("{}\nSave it as `case.json` and run {}: exit 1 while the bug is there.\n",
                     text::markdown_block(write_case(f.shrunk.c), "json"),
                     text::markdown_code(replay_command(f, "case.json")));
}

std::string cause(const Report::Item& item) {
  if (item.causes.empty()) return "Not known.";
  if (item.causes.front().name == "location")
    return "Not known. " + text::markdown(text::clean(item.causes.front().words));
  const bool measured = !item.finding.last.verdict.fits.empty();
  std::string out = measured ? "Measured: the output equals that of a known fault. "
                             : "Likely, read off the failure; not proved. ";
  out += text::markdown(text::clean(item.causes.front().words));
  for (size_t k = 1; k < item.causes.size(); ++k)
    out += "\n\nAlso possible: " + text::markdown(text::clean(item.causes[k].words));
  return out;
}

}  // namespace

std::string issue_markdown(const Report::Item& item, const IssueFacts& facts) {
  const Story story = tell(item);
  const Finding& f = item.finding;
  const std::string package(text::line(f.target.substr(0, f.target.find(':'))));
  std::string out = fmt::format("# {}\n\n## What happens\n\n{}\n", text::markdown(title(f)),
                                text::markdown(story.happened));
  const std::string& shown = story.named_text.empty() ? story.error_text : story.named_text;
  if (!shown.empty()) {
    out += "\n" + text::markdown_block(text::clean(shown, 2000), "text");
    if (!story.named_text.empty())
      out +=
          "\nThe axes (`q_len=` and so on) are put in by attnfuzz; the text has the numbers "
          "only.\n";
  }
  if (!facts.reported.empty())
    out += "\nFound from this report:\n\n" +
           text::markdown_block(text::clean(facts.reported, 2000), "text");
  out += fmt::format("\n## Expected\n\n{}\n\n", text::markdown(story.expected));
  out += text::markdown(describe(f.shrunk.c));
  out +=
      fmt::format("\n## Minimal reproduction\n\n{}\n{}\n", repro(f), text::markdown(story.minimal));
  out += fmt::format("\n## Versions\n\n| | |\n|---|---|\n| {} | {} |\n", text::markdown(package),
                     text::markdown(text::line(f.version)));
  if (!item.environment.empty())
    out += fmt::format("| machine | {} |\n", text::markdown(text::line(item.environment, 400)));
  out += fmt::format("\n## Cause\n\n{}\n", cause(item));
  if (!facts.bisect.empty())
    out += fmt::format("\n## Bisect\n\n{}\n",
                       text::markdown(text::sentence(text::line(facts.bisect, 400))));
  return out +
         fmt::format("\nFound by attnfuzz, signature {}.\n", text::markdown_code(f.signature));
}

std::string write_issue(const Report::Item& item) {
  return issue_markdown(item);
}

}  // namespace attnfuzz
