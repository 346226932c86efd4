#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reports/reach_text.h"
#include "reports/story.h"
#include "reports/writers/html/page.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace html {

std::string paragraph(std::string_view words) {
  return fmt::format("<p>{}</p>\n", h(words));
}

std::string block(std::string_view words, bool copy) {
  return fmt::format("<pre tabindex=\"0\"{}>{}</pre>\n", copy ? " data-copy" : "", h(words));
}

std::string details(std::string_view title, const std::string& inside) {
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", h(title), inside);
}

std::string figure(std::string_view caption, const std::string& svg) {
  if (svg.empty()) return "";
  return fmt::format(
      "<figure><figcaption>{}</figcaption><div class=\"scroll\" tabindex=\"0\" role=\"group\" "
      "aria-label=\"{}\">{}</div></figure>\n",
      h(caption), h(caption), svg);
}

std::string rows_table(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string out;
  for (const auto& [name, value] : rows)
    if (!value.empty())
      out += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", h(name), h(value));
  return "<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
         "aria-label=\"table\"><table><tbody>\n" +
         out + "</tbody></table></div>\n";
}

int64_t Group::count() const {
  int64_t all = 0;
  for (const Report::Item* item : items) all += item->finding.count;
  return all;
}

std::string Group::first_seen() const {
  std::string first = text::line(shown().first_seen);
  for (const Report::Item* item : items) first = std::min(first, text::line(item->first_seen));
  return first;
}

std::string Group::last_seen() const {
  std::string last;
  for (const Report::Item* item : items) last = std::max(last, text::line(item->last_seen));
  return last;
}

std::string Group::versions() const {
  std::map<std::string, std::vector<std::string>> of;  // target → versions
  for (const Report::Item* item : items) {
    std::vector<std::string>& known = of[text::line(item->finding.target)];
    const std::string version = text::line(item->finding.version);
    if (std::find(known.begin(), known.end(), version) == known.end()) known.push_back(version);
  }
  std::string out;
  for (const auto& [target, versions] : of)
    out += fmt::format("{}{} {}", out.empty() ? "" : "; ", target, text::list(versions));
  return out;
}

std::vector<Group> groups(const Report& report) {
  std::vector<Group> all;
  for (const Report::Item& item : report.items) {
    const auto known = std::find_if(all.begin(), all.end(), [&](const Group& group) {
      return group.shown().finding.signature == item.finding.signature;
    });
    if (known == all.end())
      all.push_back({{&item}});
    else
      known->items.push_back(&item);
  }
  for (Group& group : all)
    std::stable_sort(
        group.items.begin(), group.items.end(),
        [](const Report::Item* a, const Report::Item* b) { return a->last_seen > b->last_seen; });
  return all;
}

namespace {

/// Goals that no case reached: what a green run did not test.
std::string missed_list(const Report& report) {
  std::string out;
  for (const auto& [target, stats] : report.targets) {
    std::string items;
    for (const auto& [goal, why] : stats.reach)
      if (!why.empty()) items += fmt::format("<li>{}: {}</li>\n", h(goal), h(why));
    if (!items.empty())
      out +=
          fmt::format("<details><summary>Not reached by {} ({})</summary><ul>\n{}</ul></details>\n",
                      h(text::line(target)), h(reach_headline(stats.reach)), items);
  }
  return out;
}

std::string campaign_table(const Report& report) {
  std::string rows;
  for (const auto& [target, s] : report.targets)
    rows += fmt::format(
        "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1f} "
        "s</td><td>{:.3g}</td><td>{}</td>"
        "</tr>\n",
        h(text::line(target)), s.cases, s.passed, s.failed, s.skipped, s.seconds, s.worst_ratio,
        h(reach_headline(s.reach)));
  for (const auto& [target, why] : report.absent)
    rows += fmt::format("<tr><td>{}</td><td colspan=\"7\">skipped: {}</td></tr>\n",
                        h(text::line(target)), h(text::line(why)));
  if (rows.empty()) return "";
  return "<h2>Targets</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
         "aria-label=\"Targets\"><table><thead><tr><th>target</th><th>cases</th><th>passed</th>"
         "<th>failed</th><th>skipped</th><th>time</th><th>worst passing error / "
         "bound</th><th>reach</th></tr>"
         "</thead><tbody>\n" +
         rows + "</tbody></table></div>\n" + missed_list(report);
}

/// "2026-11-24" of "2026-11-24T10:00:00Z".
std::string day(const std::string& time) {
  return time.substr(0, time.find('T'));
}

std::string index_table(const std::vector<Group>& all) {
  if (all.empty()) return paragraph("Nothing was found.");
  std::string rows;
  for (const Group& group : all) {
    const Report::Item& item = group.shown();
    rows += fmt::format(
        "<tr><td class=\"wide\"><a "
        "href=\"#{}\">{}</a></td><td data-name=\"times\">{}</td>"
        "<td class=\"date\" data-name=\"first seen\">{}</td>"
        "<td class=\"date\" data-name=\"last seen\">{}</td>"
        "<td class=\"names\" data-name=\"seen on\">{}</td>"
        "<td class=\"wide\" data-name=\"cause\">{}</td></tr>\n",
        h(item.finding.signature), h(tell(item).title), group.count(), h(day(group.first_seen())),
        h(day(group.last_seen())), h(group.versions()),
        h(text::line(item.causes.empty() ? "" : item.causes.front().words, 300)));
  }
  return "<h2>Findings</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
         "aria-label=\"Findings\"><table "
         "class=\"cards\"><thead><tr><th>finding</th><th>times</th><th>first "
         "seen</th>"
         "<th>last seen</th><th>seen on</th><th>cause</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></div>\n";
}

}  // namespace
}  // namespace html

/// One file that works offline. A finding's page is shown by its address (#signature) alone, so the
/// index and the pages work without scripts; page.js adds buttons that copy.
std::string write_html(const Report& report) {
  using html::h;
  const std::vector<html::Group> all = html::groups(report);
  std::string pages;
  for (const html::Group& group : all) pages += html::finding_page(group, all);
  const std::string title = "attnfuzz: " + text::count(static_cast<int64_t>(all.size()), "finding");
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" "
      "href=\"data:,\">\n<title>{0}</title>\n<style>\n{1}</style>\n</head>\n<body>\n<main>\n<h1>{0}"
      "</h1>\n<p class=\"dim\">attnfuzz {2}, {3}</p>\n<div "
      "id=\"index\">\n{4}{5}</div>\n{6}</main>\n"
      "<script>\n{7}</script>\n</body>\n</html>\n",
      title, html::style_css, h(text::line(report.version)), h(text::line(report.environment, 400)),
      html::index_table(all), html::campaign_table(report), pages, html::page_js);
}

}  // namespace attnfuzz
