#include "targets/specimens/specimens.h"

#include <gtest/gtest.h>

#include <string>

#include "fuzz/draw.h"
#include "fuzz/generate.h"
#include "fuzz/judge.h"
#include "fuzz/testing.h"

namespace attnfuzz {
namespace {

constexpr uint64_t cases = 300;

/// How many of a target's first cases fail, and the first failure in words.
struct Count {
  uint64_t failed = 0;
  std::string first;
};

Count examine_many(Target& target) {
  Count count;
  for (uint64_t index = 0; index < cases; ++index) {
    const std::unique_ptr<Draw> draw = seeded_draw(1, index);
    const Case c = generate(target.info().capabilities, *draw);
    const Examination examination = examine(target, c);
    EXPECT_NE(examination.verdict.kind, VerdictKind::skip);
    if (examination.verdict.failed() && count.failed++ == 0)
      count.first = one_line(c) + ": " + examination.verdict.detail;
  }
  return count;
}

TEST(Specimens, BugsShowAndFixedFormsAreRight) {
  for (size_t k = 0; k < specimen_targets().size(); ++k) {
    if (k / 2 % testing::each_nth != 0) continue;  // in pairs, with and without the bug
    const BuiltinTarget& entry = specimen_targets()[k];
    const std::unique_ptr<Target> target = entry.open();
    SCOPED_TRACE(std::string(entry.name));
    EXPECT_EQ(target->info().name, entry.name);
    const Count count = examine_many(*target);
    if (entry.name.starts_with("fixed:")) {
      EXPECT_EQ(count.failed, 0U) << count.first;
    } else {
      EXPECT_GT(count.failed, 0U);
      EXPECT_LT(count.failed, cases) << "the bug has no trigger: " << count.first;
    }
  }
}

TEST(Specimens, EachHasItsFixedFormWithTheSameClaims) {
  const std::span<const BuiltinTarget> table = specimen_targets();
  ASSERT_EQ(table.size() % 2, 0U);
  for (size_t i = 0; i < table.size(); i += 2) {
    const std::string bug(table[i].name), fix(table[i + 1].name);
    ASSERT_TRUE(bug.starts_with("specimen:")) << bug;
    EXPECT_EQ(fix, "fixed:" + bug.substr(bug.find(':') + 1));
    EXPECT_EQ(table[i].open()->info().capabilities.features,
              table[i + 1].open()->info().capabilities.features);
  }
}

}  // namespace
}  // namespace attnfuzz
