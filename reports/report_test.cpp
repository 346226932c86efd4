#include "reports/report.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "fuzz/relations/relation.h"
#include "oracle/case_io.h"
#include "reports/diagnose.h"
#include "reports/environment.h"
#include "reports/item_json.h"
#include "reports/sample_findings.h"
#include "reports/story.h"
#include "reports/temporary_folder.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;

constexpr const char* kHostile =
    "\x1b[31mboom\x1b[0m ]]> <script>alert(1)</script> \"&' `code` | ``` \x01\xFF\n# not a "
    "heading\n"
    "size of tensor a (8) must match the size of tensor b (2) at non-singleton dimension 0";

Report::Item hostile_item() {
  Finding f = samples::error_finding(samples::small_case(), kHostile);
  f.version = "1.0 <b>\"x\"</b>";
  f.shrunk.history = {"kv_len 37 → 11", "<i>odd</i> | [x](y)"};
  return samples::item(f);
}

Report sample_report() {
  const Case window = samples::window_case();
  Case meant = window;
  meant.problem.mask.rules.pop_back();
  Case cached = samples::cached_case();
  Outcome lengths = samples::right_outcome(cached);
  lengths.steps[0].lengths = {4, 4};
  Report report = samples::report({hostile_item(), samples::item(samples::as_if(window, meant)),
                                   samples::item(samples::finding(cached, lengths))});
  return report;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in.good()) << file;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

const Writer& writer(std::string_view format) {
  for (const Writer& each : writers())
    if (each.format == format) return each;
  throw std::out_of_range("no such format");
}

/// Checks that XML is well-formed as far as the writers use it: tags nest, text and attributes hold
/// no bare special character, entities are known.
void expect_well_formed(const std::string& xml, const std::set<std::string>& void_tags = {}) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size();) {
    if (xml[at] == '&') {
      const size_t end = xml.find(';', at);
      const std::set<std::string> known{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
      ASSERT_TRUE(known.count(xml.substr(at, end - at + 1))) << xml.substr(at, 20);
    }
    ASSERT_NE(xml[at], '>') << xml.substr(at > 40 ? at - 40 : 0, 60);
    if (xml[at] != '<') {
      ASSERT_TRUE(static_cast<unsigned char>(xml[at]) >= 0x20 || xml[at] == '\n' ||
                  xml[at] == '\t');
      ++at;
      continue;
    }
    const size_t end = xml.find('>', at);
    ASSERT_NE(end, xml.npos);
    const std::string tag = xml.substr(at + 1, end - at - 1);
    ASSERT_EQ(tag.find('<'), tag.npos) << tag;
    const std::string name = tag.substr(0, tag.find_first_of(" \n/", tag[0] == '/' ? 1 : 0));
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      ASSERT_EQ("/" + open.back(), name);
      open.pop_back();
    } else if (tag[0] != '?' && tag[0] != '!' && tag.back() != '/' && !void_tags.count(name)) {
      open.push_back(name);
    }
    if (name == "style" || name == "script") at = xml.find("</" + name, end) - 1;
    at = std::max(at, end) + 1;
  }
  EXPECT_TRUE(open.empty());
}

TEST(Writers, JunitIsWellFormedAndCountsAreRight) {
  const std::string xml = writer("junit").write(sample_report());
  expect_well_formed(xml);
  EXPECT_NE(xml.find("<testsuites name=\"attnfuzz\" tests=\"4\" failures=\"3\""), xml.npos) << xml;
  EXPECT_NE(xml.find("type=\"error\""), xml.npos);
  EXPECT_NE(xml.find("boom ]]&gt; &lt;script&gt;"), xml.npos);
}

TEST(Writers, JunitOfAStoreHasItsTargetsToo) {
  Report report = sample_report();
  report.targets.clear();
  const std::string xml = writer("junit").write(report);
  EXPECT_NE(xml.find("tests=\"4\" failures=\"3\""), xml.npos) << xml;
}

TEST(Writers, HtmlIsWellFormedAndNeedsNothingFromOutside) {
  const std::string html = writer("html").write(sample_report());
  expect_well_formed(html, {"meta", "link"});
  EXPECT_EQ(html.find("<script"), html.rfind("<script"));  // its own alone
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("})
    EXPECT_EQ(html.find(outside), html.npos) << outside;
  EXPECT_NE(html.find("aria-label=\"Mask of batch row"), html.npos);
  EXPECT_NE(html.find("aria-label=\"Error by head"), html.npos);
}

/// The same bug in two releases is one row and one page.
TEST(Writers, HtmlGroupsBySignature) {
  Report::Item older =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  Report::Item newer = older;
  newer.finding.target += "@later";
  newer.finding.version = "2.0";
  newer.last_seen = "2025-02-01T00:00:00Z";
  newer.finding.count = 4;
  const std::string html = writer("html").write(samples::report({older, newer}));
  EXPECT_NE(html.find("<title>attnfuzz: 1 finding</title>"), html.npos);
  EXPECT_NE(html.find("specimen:sample 1.0; specimen:sample@later 2.0"), html.npos);
  EXPECT_NE(html.find("<td>5</td>"), html.npos);
  EXPECT_EQ(html.find("<article"), html.rfind("<article"));
}

TEST(Writers, HtmlShowsWhatTheTargetSeemsToDo) {
  const Case window = samples::window_case();
  Case meant = window;
  meant.problem.mask.rules.pop_back();
  const std::string html =
      writer("html").write(samples::report({samples::item(samples::as_if(window, meant))}));
  EXPECT_NE(html.find("What the target seems to do"), html.npos);
  EXPECT_NE(html.find("hidden, but the target sees it"), html.npos);
  EXPECT_NE(html.find("Elements by error in multiples of the bound"), html.npos);
}

TEST(Writers, HtmlDrawsTheStepsOfACache) {
  const Case cached = samples::cached_case();
  Outcome lengths = samples::right_outcome(cached);
  lengths.steps[0].lengths = {4, 4};
  const std::string html =
      writer("html").write(samples::report({samples::item(samples::finding(cached, lengths))}));
  EXPECT_NE(html.find("Tokens of each row after each step"), html.npos);
  EXPECT_NE(html.find("4, not 7"), html.npos);
}

TEST(Writers, HtmlLinksSimilarFindings) {
  const Report::Item one =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  Report::Item other = one;
  other.finding.target = "specimen:other";
  other.finding.signature = "error-000000000001";
  const std::string html = writer("html").write(samples::report({one, other}));
  EXPECT_NE(html.find("Similar findings"), html.npos);
}

TEST(Writers, SarifHasWhatTheStandardAsksFor) {
  const Report report = sample_report();
  const Json sarif = Json::parse(writer("sarif").write(report));
  EXPECT_EQ(sarif.at("version"), "2.1.0");
  const Json& run = sarif.at("runs").at(0);
  const Json& driver = run.at("tool").at("driver");
  EXPECT_EQ(driver.at("name"), "attnfuzz");
  ASSERT_EQ(run.at("results").size(), 3u);
  for (const Json& result : run.at("results")) {
    const auto index = result.at("ruleIndex").get<size_t>();
    EXPECT_EQ(driver.at("rules").at(index).at("id"), result.at("ruleId"));
    EXPECT_FALSE(result.at("message").at("text").get<std::string>().empty());
    EXPECT_TRUE(result.at("partialFingerprints").contains("attnfuzzSignature/v1"));
  }
}

TEST(Writers, SummaryHasItsFields) {
  const Json summary = Json::parse(writer("json").write(sample_report()));
  EXPECT_EQ(summary.at("attnfuzz"), 1);
  EXPECT_EQ(summary.at("targets").at(0).at("cases"), 100);
  ASSERT_EQ(summary.at("findings").size(), 3u);
  for (const Json& finding : summary.at("findings")) {
    for (const char* field : {"title", "happened", "expected", "target", "version", "signature",
                              "failure", "causes", "case", "shrink", "count", "first_seen"})
      EXPECT_TRUE(finding.contains(field)) << field;
    EXPECT_NO_THROW(parse_case(finding.at("case").dump(), "summary"));
    EXPECT_NO_THROW(item_from_json(finding.dump(), "summary"));
  }
}

TEST(Markdown, TheEssentialsComeFirst) {
  const Report::Item item =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  const std::string page = finding_markdown(item);
  const std::string first = page.substr(0, page.find("## The case"));
  EXPECT_LE(std::count(first.begin(), first.end(), '\n'), 30);
  for (const char* part :
       {"specimen:sample", "raises an error", "tensor a (q_len=8) must match tensor b",
        "tensor a (q_len=8) must match the size of tensor b (batch=2)", "**Expected.**",
        "attnfuzz replay case.json -t 'specimen:sample'", "repro.sh"})
    EXPECT_NE(first.find(part), first.npos) << part << "\n" << first;
  EXPECT_NE(page.find("1. kv_len 37 → 11\n"), page.npos);
  EXPECT_NE(page.find("| q_len | 8 |"), page.npos);
}

TEST(Markdown, HostileTextStaysText) {
  const std::string page = finding_markdown(hostile_item());
  EXPECT_EQ(page.find('\x1b'), page.npos);
  EXPECT_EQ(page.find('\x01'), page.npos);
  EXPECT_NE(page.find("````text\nboom ]]> <script>"), page.npos) << page;  // inside a longer fence
  EXPECT_NE(page.find("\\<i\\>odd\\</i\\> \\| \\[x\\](y)"), page.npos);
}

TEST(Terminal, ColourOnlyWhenAskedFor) {
  const Report::Item item = hostile_item();
  const std::string plain = finding_terminal(item, false);
  EXPECT_EQ(plain.find('\x1b'), plain.npos);
  EXPECT_NE(plain.find("cause"), plain.npos);
  EXPECT_NE(plain.find("q_len=8"), plain.npos) << plain;
  EXPECT_NE(finding_terminal(item, true).find('\x1b'), std::string::npos);
}

TEST(Story, WorstElementIsTold) {
  const Finding f = samples::mismatch_finding(
      samples::small_case(),
      [](auto b, auto h, auto i, auto d) { return b == 1 && h == 2 && i == 3 && d == 4; });
  const Story story = tell(samples::item(f));
  EXPECT_NE(story.happened.find("1 of 1024 elements are outside their bound. The worst is at batch "
                                "row 1, head 2, query 3, element 4: got "),
            std::string::npos)
      << story.happened;
}

TEST(Story, ARelationIsTold) {
  Finding f = samples::error_finding(samples::small_case(), "");
  const Relation& relation = *find_relation("rows-alone");
  f.last.verdict.failure = FailureKind::relation;
  f.last.verdict.relation = &relation;
  f.last.verdict.detail = "rows-alone: 3 of 9 elements differ";
  f.last.verdict.wrong = 3;
  const Story story = tell(samples::item(f));
  EXPECT_NE(story.happened.find("rows-alone: 3 of 9 elements differ"), std::string::npos);
  EXPECT_NE(story.expected.find("gives what it gives alone"), std::string::npos);
  EXPECT_TRUE(replay_command(f, "x.json").ends_with(" --relations rows-alone"));
  const std::vector<Cause> causes = diagnose(f);
  ASSERT_EQ(causes.size(), 1U);
  EXPECT_EQ(causes[0].name, "rows-alone");
  EXPECT_NE(make_repro(f.shrunk.c, {}, &relation).text.find("--relations rows-alone"),
            std::string::npos);
}

TEST(WriteReport, LaysOutTheFolder) {
  const TemporaryFolder folder;
  const std::filesystem::path dir = folder.path() / "a" / "b";
  const Report report = sample_report();
  std::vector<std::string> formats;
  for (const Writer& each : writers()) formats.emplace_back(each.format);
  write_report(report, dir, formats);
  for (const Writer& each : writers()) {
    if (each.write == nullptr) continue;
    EXPECT_FALSE(text_of(dir / each.file).empty()) << each.format;
  }
  for (const Report::Item& item : report.items) {
    const auto finding = dir / "findings" / item.finding.signature;
    EXPECT_EQ(read_case((finding / "case.json").string()).c, item.finding.shrunk.c);
    EXPECT_FALSE(text_of(finding / "report.md").empty());
    EXPECT_FALSE(text_of(finding / "issue.md").empty());
    EXPECT_NE(text_of(finding / "repro.sh").find("replay"), std::string::npos);
  }
  EXPECT_THROW(write_report(report, dir, std::vector<std::string>{"pdf"}), InputError);
  EXPECT_THROW(write_report(report, dir / "summary.json", formats), InputError);
}

/// A file that can't grow is what a full disk is like.
TEST(WriteReport, WhatCannotBeWrittenIsNotLeftHalf) {
  const TemporaryFolder folder;
  Report::Item item =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &usual), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit none{0, usual.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  std::string said;
  try {
    write_finding(item, folder.path() / "findings" / "a");
  } catch (const InputError& error) {
    said = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &usual);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(said.find("expected a file that can be written: File too large"), said.npos) << said;
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "findings" / "a"));
}

TEST(Markdown, AScriptThatCallsAttnfuzzSaysSo) {
  Report::Item item =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  EXPECT_NE(finding_markdown(item).find("As a script: `repro.sh`"), std::string::npos);
  item.repro = "repro.py";
  EXPECT_NE(finding_markdown(item).find("Without attnfuzz: `repro.py`"), std::string::npos);
}

TEST(WriteReport, TheSameFindingTwiceIsOne) {
  const TemporaryFolder folder;
  const Report::Item item =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  write_report(samples::report({item, item}), folder.path(), {});
  const Json summary = Json::parse(text_of(folder.path() / "summary.json"));
  ASSERT_EQ(summary.at("findings").size(), 1u);
  EXPECT_EQ(summary.at("findings").at(0).at("count"), 2);
}

TEST(Environment, NamesTheSystem) {
  const std::string words = environment_text();
  EXPECT_NE(words.find("Linux"), std::string::npos) << words;
  EXPECT_NE(words.find("core"), std::string::npos) << words;
  EXPECT_EQ(words.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace attnfuzz
