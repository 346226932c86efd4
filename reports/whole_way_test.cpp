#include "reports/whole_way.h"

#include <gtest/gtest.h>

#include "oracle/each_nth.h"

namespace attnfuzz::testing {
namespace {

TEST(WholeWay, WhateverATargetAnswersIsReported) {
  constexpr uint64_t count = 2000 / each_nth;
  WholeWay way;
  for (uint64_t index = 0; index < count; ++index) {
    SCOPED_TRACE(index);
    EXPECT_NO_THROW(way.go(*seeded_draw(1, index)));
  }
  // What is drawn must reach all that judging tells apart.
  const WholeWay::Tally& tally = way.tally();
  EXPECT_LT(tally.none, count / 50);
  EXPECT_GT(tally.passed, count / 50);
  EXPECT_GT(tally.skipped, 0u);
  for (const FailureKind kind : {FailureKind::mismatch, FailureKind::nan, FailureKind::shape,
                                 FailureKind::error, FailureKind::crash, FailureKind::timeout,
                                 FailureKind::memory, FailureKind::nondeterminism}) {
    const auto found = tally.failed.find(kind);
    EXPECT_TRUE(found != tally.failed.end() && found->second >= count / 400) << name(kind);
  }
}

}  // namespace
}  // namespace attnfuzz::testing
