#include "reports/baseline.h"

#include <gtest/gtest.h>

#include "reports/sample_findings.h"

namespace attnfuzz {
namespace {

constexpr const char* kText =
    R"({"attnfuzz_baseline": 1, "findings": [{"target": "a:b", "signature": "error-1", "about": "x"}]})";

std::string error_of(const std::string& text) {
  try {
    parse_baseline(text, "known.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Baseline, KnowsAFindingWhateverTheEnvironment) {
  const Baseline baseline = parse_baseline(kText, "known.json");
  EXPECT_TRUE(baseline.knows("a:b", "error-1"));
  EXPECT_TRUE(baseline.knows("a:b@2.0", "error-1"));
  EXPECT_FALSE(baseline.knows("a:b", "error-2"));
  EXPECT_FALSE(baseline.knows("a:c", "error-1"));
}

TEST(Baseline, KnowsAPlugInWhateverItsFolder) {
  const Baseline baseline{{{"./build/libmine.so", "error-1", ""}}};
  EXPECT_TRUE(baseline.knows("/elsewhere/libmine.so", "error-1"));
  EXPECT_TRUE(baseline.knows("./build/libmine.so", "error-1"));
  EXPECT_FALSE(baseline.knows("./build/libother.so", "error-1"));
}

TEST(Baseline, ReadsWhatItWrites) {
  const std::string text = write_baseline(parse_baseline(kText, "known.json"));
  EXPECT_EQ(write_baseline(parse_baseline(text, "again")), text);
}

TEST(Baseline, IsReadStrictly) {
  EXPECT_EQ(error_of("{}"), "known.json: expected {\"attnfuzz_baseline\": 1, \"findings\": […]}");
  EXPECT_EQ(error_of(R"({"attnfuzz_baseline": 2, "findings": []})"), error_of("{}"));
  EXPECT_EQ(error_of(R"({"attnfuzz_baseline": 1, "findings": {}})"),
            "known.json: /findings: expected a list");
  EXPECT_EQ(error_of(R"({"attnfuzz_baseline": 1, "findings": [{"target": "a:b"}]})"),
            "known.json: /findings/0: expected a target and a signature");
  EXPECT_EQ(error_of(R"({"attnfuzz_baseline": 1, "findings": [{"target": 7}]})"),
            "known.json: /findings/0/target: expected a text");
  EXPECT_NE(error_of(R"({"attnfuzz_baseline": 1, "findings": [{"why": "x"}]})").find("/0/why"),
            std::string::npos);
}

TEST(Baseline, OfAReportKeepsTheLinesThatPeopleWrote) {
  const Report::Item item =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  const Report report = samples::report({item});
  const Baseline fresh = baseline_of(report, {});
  ASSERT_EQ(fresh.entries.size(), 1U);
  EXPECT_TRUE(fresh.knows(item.finding.target, item.finding.signature));
  Baseline before = fresh;
  before.entries[0].about = "issue 12";
  before.entries.push_back({"other:target", "error-3", "fixed since"});
  const Baseline after = baseline_of(report, before);
  ASSERT_EQ(after.entries.size(), 1U);
  EXPECT_EQ(after.entries[0].about, "issue 12");
}

}  // namespace
}  // namespace attnfuzz
