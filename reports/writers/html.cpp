#include <fmt/format.h>

#include "reports/show.h"
#include "reports/story.h"
#include "reports/text.h"
#include "reports/writers/figures.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#fff;--fg:#1c1f24;--dim:#5a6270;--line:#d9dde3;--card:#f6f7f9;
--bad:#b3261e;--accent:#0b5cad;--seen:#2f6fb5;--hidden:#e3e6eb;--e0:#dfe9df;--e1:#b9d6b9;
--e2:#f0b86c;--e3:#e0703c;--e4:#a51d1d}
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e8eb;--dim:#a0a8b4;--line:#333a44;
--card:#1c2026;--bad:#ff8a80;--accent:#7ab8ff;--seen:#6aa9ea;--hidden:#2a3038;--e0:#22352a;
--e1:#2f5a3c;--e2:#b97e2e;--e3:#d1602f;--e4:#ff5a4d}}
*{box-sizing:border-box}body{margin:0 auto;max-width:64rem;padding:1rem;background:var(--bg);
color:var(--fg);font:16px/1.5 system-ui,sans-serif}h1{font-size:1.5rem}h2{font-size:1.15rem;
overflow-wrap:anywhere}h3{font-size:1rem;margin:1.2rem 0 .3rem}a{color:var(--accent)}
article{border:1px solid var(--line);border-radius:.5rem;padding:.2rem 1rem 1rem;margin:1.5rem 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}th,td{text-align:left;
padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
pre{background:var(--card);border:1px solid var(--line);border-radius:.3rem;padding:.6rem;
overflow-x:auto;font-size:.85rem;white-space:pre-wrap;overflow-wrap:anywhere}.dim{color:var(--dim)}
.bad{color:var(--bad)}.cause{border-left:4px solid var(--accent);padding:.1rem .8rem;
background:var(--card);margin:.6rem 0}summary{cursor:pointer}svg{max-width:100%;height:auto}
.seen{fill:var(--seen)}.hidden{fill:var(--hidden)}.e0{fill:var(--e0)}.e1{fill:var(--e1)}
.e2{fill:var(--e2)}.e3{fill:var(--e3)}.e4{fill:var(--e4)}
)";

std::string h(std::string_view words) {
  return text::xml(words);
}
std::string paragraph(std::string_view words) {
  return fmt::format("<p>{}</p>\n", h(words));
}
/// A block that scrolls must be reachable by keyboard: tabindex.
std::string block(std::string_view words) {
  return fmt::format("<pre tabindex=\"0\">{}</pre>\n", h(words));
}
std::string details(std::string_view title, const std::string& inside) {
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", h(title), inside);
}
std::string figure(std::string_view title, const std::string& svg) {
  return svg.empty() ? ""
                     : fmt::format(
                           "<h3>{}</h3>\n<div class=\"scroll\" tabindex=\"0\">{}</div>"
                           "\n",
                           h(title), svg);
}

std::string campaign_table(const Report& report) {
  std::string rows;
  for (const auto& [target, s] : report.targets)
    rows += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1f} "
        "s</td><td>{:.3g}</td>"
        "</tr>\n",
        h(text::line(target)), s.cases, s.passed, s.failed, s.skipped, s.seconds, s.worst_ratio);
  if (rows.empty()) return "";
  return "<h2>Targets</h2>\n<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>target</th>"
         "<th>cases</th><th>passed</th><th>failed</th><th>skipped</th><th>time</th><th>worst "
         "passing"
         " error / bound</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></div>\n";
}

std::string index_table(const Report& report) {
  if (report.items.empty()) return paragraph("Nothing was found.");
  std::string rows;
  for (const Report::Item& item : report.items)
    rows +=
        fmt::format("<tr><td><a href=\"#{}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    h(item.finding.signature), h(tell(item).title), item.finding.count,
                    h(text::line(item.causes.empty() ? "" : item.causes.front().words, 300)),
                    h(text::line(item.last_seen)));
  return "<h2>Findings</h2>\n<div class=\"scroll\" "
         "tabindex=\"0\"><table><thead><tr><th>finding</th>"
         "<th>times</th><th>cause</th><th>last seen</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></div>\n";
}

std::string history(const Finding& f, const Story& story) {
  std::string out = paragraph("Found in " + story.place + ". " + story.minimal);
  if (f.shrunk.history.empty()) return out;
  out += fmt::format("<p><code>{}</code> → <code>{}</code></p>\n<ol>\n", h(one_line(f.original)),
                     h(one_line(f.shrunk.c)));
  for (const std::string& step : f.shrunk.history)
    out += fmt::format("<li>{}</li>\n", h(text::line(step)));
  return out + "</ol>\n";
}

std::string article(const Report::Item& item) {
  const Story story = tell(item);
  const Finding& f = item.finding;
  const Case& c = f.shrunk.c;
  std::string out = fmt::format("<article id=\"{}\">\n<h2 class=\"bad\">{}</h2>\n", h(f.signature),
                                h(story.title));
  out += paragraph(story.happened);
  if (!story.error_text.empty())
    out += block(story.named_text.empty() ? story.error_text : story.named_text);
  out += fmt::format("<p><strong>Expected:</strong> {}</p>\n", h(story.expected));
  for (const Cause& cause : item.causes)
    out += fmt::format("<div class=\"cause\"><p>{} <span class=\"dim\">({})</span></p></div>\n",
                       h(text::clean(cause.words)), h(text::line(cause.name)));
  out += "<h3>The case</h3>\n" + block(describe(c));
  std::string rows;
  for (const auto& [key, value] : story.axes)
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", h(key), h(value));
  out +=
      "<div class=\"scroll\" tabindex=\"0\"><table><tbody>\n" + rows + "</tbody></table></div>\n";
  const WorstElement& worst = f.last.verdict.worst;
  out += figure(
      fmt::format("Mask (batch row {}, head {}; rows are queries, columns keys)", worst.b, worst.h),
      mask_svg(c, worst.b, worst.h));
  out += figure("Error (rows are heads, columns queries; the worst element, in bounds)",
                error_svg(c, f.last));
  out +=
      "<h3>Replay</h3>\n" +
      block(replay_command(f, "findings/" + f.signature + "/case.json") +
            (item.repro.empty() ? "" : "\nfindings/" + f.signature + "/" + text::line(item.repro)));
  out += details("case.json", block(story.case_json));
  if (!story.named_text.empty())
    out += details("The error as it was raised", block(story.error_text));
  out += details("How it was found and shrunk", history(f, story));
  out +=
      fmt::format("<p class=\"dim\">{} {}, signature {}{}{}</p>\n</article>\n",
                  h(text::line(f.target)), h(text::line(f.version)), h(f.signature),
                  item.first_seen.empty() ? "" : ", first seen " + h(text::line(item.first_seen)),
                  item.environment.empty() ? "" : ", " + h(text::line(item.environment, 400)));
  return out;
}

}  // namespace

std::string write_html(const Report& report) {
  std::string articles;
  for (const Report::Item& item : report.items) articles += article(item);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" "
      "href=\"data:,\">\n<title>attnfuzz: {}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n"
      "<h1>attnfuzz: {}</h1>\n<p class=\"dim\">attnfuzz {}, {}</p>\n{}{}{}</main>\n</body>\n"
      "</html>\n",
      text::count(static_cast<int64_t>(report.items.size()), "finding"), kStyle,
      text::count(static_cast<int64_t>(report.items.size()), "finding"),
      h(text::line(report.version)), h(text::line(report.environment, 400)), index_table(report),
      campaign_table(report), articles);
}

}  // namespace attnfuzz
