#include "reports/issue.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "reports/sample_findings.h"

namespace attnfuzz {
namespace {

bool has(const std::string& text, const std::string& what) {
  return text.find(what) != text.npos;
}

TEST(Issue, HasWhatAMaintainerAsksFor) {
  const std::string text = issue_markdown(
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText)));
  EXPECT_TRUE(text.starts_with("# specimen:sample: error"));
  for (const char* part :
       {"## What happens", "tensor a (q_len=8)", "## Expected", "## Minimal reproduction",
        "## Versions", "| specimen | 1.0 |", "## Cause", "signature `error-"})
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
}

/// Nothing that was not measured: no bisect, no proof of a cause that was read off a text.
TEST(Issue, SaysOnlyWhatWasMeasured) {
  const Report::Item item =
      samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  const std::string text = issue_markdown(item);
  EXPECT_FALSE(has(text, "## Bisect"));
  EXPECT_TRUE(has(text, "Likely, read off the failure; not proved."));
  EXPECT_TRUE(has(issue_markdown(item, {"", "broken in sample 1.2: 1.1 passes, 1.2 fails"}),
                  "## Bisect\n\nBroken in sample 1.2"));

  const Case window = samples::window_case();
  Case meant = window;
  meant.problem.mask.rules.pop_back();
  EXPECT_TRUE(has(issue_markdown(samples::item(samples::as_if(window, meant))),
                  "Measured: the output equals that of a known fault."));
}

TEST(Issue, TheProgramHasAtMostThirtyLines) {
  Case c = samples::small_case(R"({"align":"top_left","rules":[{"rule":"causal"}]})");
  c.problem.num_heads = c.problem.num_kv_heads = 1;
  c.problem.q_len = c.problem.kv_len = 2;
  c.problem.head_dim = c.problem.head_dim_v = 2;
  for (const char* target : {"torch:sdpa-math", "jax:dot-product-attention", "keras:torch"}) {
    Finding f = samples::mismatch_finding(c, [](auto, auto, auto, auto d) { return d == 0; });
    f.target = target;
    const std::string text = issue_markdown(samples::item(f));
    const size_t from = text.find("```python\n"), to = text.find("```\n", from + 4);
    ASSERT_NE(from, text.npos) << text;
    EXPECT_LE(std::count(text.begin() + static_cast<int64_t>(from),
                         text.begin() + static_cast<int64_t>(to), '\n'),
              31)
        << text;
  }
}

TEST(Issue, ACaseThatFailsAfterOthersComesWithThem) {
  Finding f = samples::error_finding(samples::small_case(), samples::kMaskAxisText);
  f.before = {samples::small_case(), samples::small_case()};
  f.learned.alone = false;
  const std::string text = issue_markdown(samples::item(f));
  for (const char* part :
       {"fails there after before-1.case.json to before-2.case.json", "as `before-2.case.json`",
        "replay case.json --after before-1.case.json --after before-2.case.json -t"})
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
}

TEST(Issue, ForeignTextStaysText) {
  const std::string text = issue_markdown(samples::item(samples::error_finding(
      samples::small_case(), "boom ``` </script> \x1b[31m # not a heading\n# nor this")));
  EXPECT_FALSE(has(text, "\x1b"));
  EXPECT_TRUE(has(text, "````text\n"));
}

}  // namespace
}  // namespace attnfuzz
