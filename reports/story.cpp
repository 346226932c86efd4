#include "reports/story.h"

#include <fmt/format.h>

#include "fuzz/elements.h"
#include "fuzz/relations/relation.h"
#include "fuzz/signature.h"
#include "oracle/case_io.h"
#include "reports/show.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

struct KindWords {
  FailureKind kind;
  std::string_view does;      ///< completes "TARGET …"
  std::string_view expected;  ///< completes "Expected: …"
};
constexpr KindWords kKinds[] = {
    {FailureKind::mismatch, "gives a wrong output", "every element within its error bound"},
    {FailureKind::nan, "gives NaN or infinity where it must not, or a number where NaN is due",
     "finite numbers exactly where the answer is finite"},
    {FailureKind::shape, "gives a wrong shape or cache length",
     "the shape and the cache lengths of "
     "the answer"},
    {FailureKind::error, "raises an error",
     "an output: the target declares that it supports this "
     "case"},
    {FailureKind::crash, "crashes", "an output: the target declares that it supports this case"},
    {FailureKind::timeout, "does not return", "an output within the time limit"},
    {FailureKind::memory, "runs out of memory", "an output within the memory limit"},
    {FailureKind::nondeterminism, "gives different outputs for the same input",
     "the same bits every time"},
    {FailureKind::relation, "breaks a relation between two cases",
     "outputs that agree within their error bounds"},
    {FailureKind::ignored, "ignores an option", "another output with the option than without it"},
};

const KindWords& words_of(FailureKind kind) {
  for (const KindWords& row : kKinds)
    if (row.kind == kind) return row;
  return kKinds[0];
}

std::string worst_words(const Finding& finding) {
  const Verdict& v = finding.last.verdict;
  if (v.wrong == 0 || v.failure == FailureKind::relation) return "";
  const WorstElement& w = v.worst;
  const std::string step =
      finding.shrunk.c.cached() ? fmt::format("step {}, ", w.step) : std::string();
  const std::string where =
      w.output == Output::out
          ? fmt::format("batch row {}, head {}, query {}, element {}", w.b, w.h, w.i, w.d)
          : place_text(w);
  return fmt::format(
      " {} of {} elements are outside their bound. The worst is at {}{}: got {:.9g}, expected "
      "{:.9g}, allowed error {:.3g}.",
      v.wrong, v.checked, step, where, w.got, w.want, w.bound);
}

std::string place(const Finding& finding) {
  if (!finding.corpus.empty()) return "corpus case " + text::line(finding.corpus);
  return fmt::format("case {} of the campaign with seed {}", finding.index, finding.seed);
}

std::string minimal_words(const Shrunk& shrunk) {
  return shrunk.minimal
             ? "No single reduction of this case still fails the same way."
             : fmt::format("The shrinker stopped after {} tr{}: a smaller case may exist.",
                           shrunk.tried, shrunk.tried == 1 ? "y" : "ies");
}

/// What was learned tells of the dedup_text's numbers; where that stands in the detail, nothing
/// else there is named.
std::string annotated_detail(const Finding& f) {
  const Verdict& v = f.last.verdict;
  if (v.dedup_text.empty()) return annotate(v.detail, f.shrunk.c, &f.learned);
  const size_t at = v.detail.find(v.dedup_text);
  if (at == std::string::npos) return annotate(v.detail, f.shrunk.c);
  return v.detail.substr(0, at) + annotate(v.dedup_text, f.shrunk.c, &f.learned) +
         v.detail.substr(at + v.dedup_text.size());
}

}  // namespace

Story tell(const Report::Item& item) {
  const Finding& f = item.finding;
  const Verdict& v = f.last.verdict;
  const KindWords& words = words_of(v.failure);
  const std::string target = text::line(f.target);
  Story story;
  story.title = fmt::format("{} {} on {}", target, words.does, one_line(f.shrunk.c));
  story.happened = fmt::format("{} {} {}.", target, text::line(f.version), words.does);
  const std::string worst = worst_words(f);
  const bool related = v.failure == FailureKind::relation;
  if (!worst.empty())
    story.happened += worst;
  else if (related)
    story.happened += " " + text::line(v.detail, 600) + ".";  // begins with a name
  else if (v.detail != f.last.outcome.text)                   // an error's text stands apart
    story.happened += " " + text::sentence(text::line(annotated_detail(f), 400));
  if (!f.before.empty())
    story.happened += fmt::format(
        " It passes alone in a new process, and fails there after {}.",
        f.before.size() == 1
            ? before_file(0)
            : fmt::format("{} to {}", before_file(0), before_file(f.before.size() - 1)));
  story.expected = text::sentence(related ? v.relation->words : words.expected);
  story.error_text = text::clean(f.last.outcome.text);
  if (v.failure != FailureKind::timeout && v.failure != FailureKind::memory)  // limits, not sizes
    story.named_text = annotate(story.error_text, f.shrunk.c, &f.learned);
  if (story.named_text == story.error_text) story.named_text.clear();
  story.place = place(f);
  story.minimal = minimal_words(f.shrunk);
  story.case_json = write_case(f.shrunk.c);
  story.axes = axes_table(f.shrunk.c);
  return story;
}

std::string before_file(size_t k) {
  return fmt::format("before-{}.case.json", k + 1);
}

std::string replay_command(const Finding& finding, const std::string& file) {
  constexpr std::string_view function = "python:";  // tested by the Python package
  if (finding.target.starts_with(function))
    return fmt::format("python -m attnfuzz {} --replay {}",
                       text::shell(text::line(finding.target.substr(function.size()))), file);
  const Verdict& verdict = finding.last.verdict;
  const std::string folder = file.substr(0, file.rfind('/') + 1);
  std::string after;
  for (size_t k = 0; k < finding.before.size(); ++k) after += " --after " + folder + before_file(k);
  return fmt::format("attnfuzz replay {}{} -t {}{}", file, after,
                     text::shell(text::line(finding.target)),
                     verdict.failure == FailureKind::relation
                         ? fmt::format(" --relations {}", verdict.relation->name)
                         : "");
}

}  // namespace attnfuzz
