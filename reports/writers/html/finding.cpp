#include <fmt/format.h>

#include <algorithm>

#include "fuzz/elements.h"
#include "fuzz/signature.h"
#include "reports/show.h"
#include "reports/story.h"
#include "reports/writers/html/figures.h"
#include "reports/writers/html/page.h"

namespace attnfuzz::html {
namespace {

/// The case in the first meaning that the output has, for drawing.
std::optional<Case> as_the_target(const Finding& f) {
  if (f.last.verdict.fits.empty() || f.shrunk.c.cached()) return std::nullopt;
  return f.last.verdict.fits.front()->rewrite(f.shrunk.c);
}

constexpr int64_t kTile = 16;

std::string key(std::initializer_list<std::pair<std::string_view, std::string_view>> entries) {
  std::string out = "<p class=\"dim key\">";
  for (const auto& [style, words] : entries)
    out += fmt::format("<span class=\"{}\"></span>{}", style, h(words));
  return out + "</p>\n";
}

std::string mask_figures(const Finding& f) {
  const Case& c = f.shrunk.c;
  const int64_t b = f.last.verdict.worst.b, head = query_head(c, f.last.verdict.worst);
  const std::string where =
      fmt::format("batch row {}, head {}; rows are queries, columns keys", b, head);
  std::string out = figure("What is meant; " + where, figures::mask(c, b, head));
  if (out.empty()) return "";
  if (const auto done = as_the_target(f))
    out += figure(
        fmt::format("What the target seems to do: if {}", f.last.verdict.fits.front()->words),
        figures::mask(c, b, head, &*done));
  return "<h3>The mask</h3>\n<div class=\"figures\">\n" + out + "</div>\n" +
         key({{"seen", "seen"},
              {"hidden", "hidden"},
              {"extra", "seen by the target only"},
              {"missing", "missed by the target"}});
}

std::string error_figures(const Finding& f) {
  const std::vector<ElementError> elements = element_errors(f.shrunk.c, f.last);
  const Output which = f.last.verdict.worst.output;
  if (elements.empty()) return "";
  std::string judged;
  for (const std::string& line : judged_words(f.shrunk.c)) judged += paragraph(line);
  return "<h3>The error</h3>\n" + judged + "<div class=\"figures\">\n" +
         figure(fmt::format("Of {}, {}, the worst element, in bounds{}", name(which),
                            figures::axes_words(which),
                            judged.empty() ? fmt::format("; a line every {} columns", kTile)
                                           : "; the judged ones, side by side"),
                figures::errors(f.shrunk.c, which, elements, kTile)) +
         figure("Elements by |error| / bound; wrong below the line", figures::histogram(elements)) +
         "</div>\n" +
         key({{"e0", "≤ 0.1"},
              {"e1", "≤ 1"},
              {"e2", "≤ 100"},
              {"e3", "≤ 1e6"},
              {"e4", "more, or not finite"}});
}

std::string history(const Finding& f, const Story& story) {
  std::string out = paragraph("Found in " + story.place + ". " + story.minimal);
  if (f.shrunk.history.empty()) return out;
  out += fmt::format("<p>From <code>{}</code> to <code>{}</code>:</p>\n<ol>\n",
                     h(one_line(f.original)), h(one_line(f.shrunk.c)));
  for (const std::string& step : f.shrunk.history)
    out += fmt::format("<li>{}</li>\n", h(text::line(step)));
  return out + "</ol>\n";
}

/// The same complaint or cause elsewhere.
bool is_similar(const Report::Item& a, const Report::Item& b) {
  const bool cause =
      !a.causes.empty() && !b.causes.empty() && a.causes.front().name == b.causes.front().name;
  const bool error_text =
      !a.finding.learned.text.empty() && a.finding.learned.text == b.finding.learned.text;
  return cause || error_text;
}

std::string similar(const Group& group, const std::vector<Group>& all) {
  std::string list;
  for (const Group& other : all)
    if (other.shown().finding.signature != group.shown().finding.signature &&
        is_similar(group.shown(), other.shown()))
      list += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", h(other.shown().finding.signature),
                          h(tell(other.shown()).title));
  return list.empty() ? "" : "<h3>Similar findings</h3>\n<ul>\n" + list + "</ul>\n";
}

std::string program(const Report::Item& item) {
  const Finding& f = item.finding;
  const Repro repro = make_repro(f);
  std::string out = "<h3>Replay</h3>\n" +
                    block(replay_command(f, "findings/" + f.signature + "/case.json"), true);
  if (repro.text.empty()) return out;
  return out +
         (needs_attnfuzz(repro.file_name) || f.target.starts_with("python:")
              ? "<h3>As a script</h3>\n"
              : "<h3>Without attnfuzz</h3>\n") +
         paragraph(repro.file_name + ": exits 1 while the bug is there, 0 once it is fixed.") +
         block(repro.text, true);
}

}  // namespace

std::string finding_page(const Group& group, const std::vector<Group>& all) {
  const Report::Item& item = group.shown();
  const Story story = tell(item);
  const Finding& f = item.finding;
  std::string out = fmt::format(
      "<article id=\"{0}\" aria-labelledby=\"t-{0}\">\n<p><a href=\"#\">← all "
      "findings</a></p>\n<h2 "
      "class=\"bad\" id=\"t-{0}\">{1}</h2>\n",
      h(f.signature), h(story.title));
  out += paragraph(story.happened);
  if (!story.error_text.empty())
    out += block(story.named_text.empty() ? story.error_text : story.named_text);
  out += fmt::format("<p><strong>Expected:</strong> {}</p>\n", h(story.expected));
  for (const Cause& cause : item.causes)
    out += fmt::format("<div class=\"cause\"><p>{} <span class=\"dim\">({})</span></p></div>\n",
                       h(text::clean(cause.words)), h(text::line(cause.name)));
  for (const measure::Statement& each : f.measured)
    if (each.about == "picture") out += "<h3>Declared and measured</h3>\n" + block(each.words);
  out += "<h3>The case</h3>\n" + block(describe(f.shrunk.c)) + rows_table(story.axes);
  out += mask_figures(f) + error_figures(f);
  if (const std::string chart = figures::timeline(f.shrunk.c, f.last.outcome); !chart.empty())
    out +=
        "<h3>The steps</h3>\n" +
        figure("Tokens of each row after each step; where the target says otherwise, both", chart);
  out += program(item) + details("case.json", block(story.case_json, true));
  if (!story.named_text.empty())
    out += details("The error as it was raised", block(story.error_text));
  out += "<h3>How it was found and shrunk</h3>\n" + history(f, story) + similar(group, all);
  return out + "<h3>Environment</h3>\n" +
         rows_table({{"seen on", group.versions()},
                     {"times", std::to_string(group.count())},
                     {"first seen", group.first_seen()},
                     {"last seen", group.last_seen()},
                     {"machine", text::line(item.environment, 400)},
                     {"signature", f.signature}}) +
         "</article>\n";
}

}  // namespace attnfuzz::html
