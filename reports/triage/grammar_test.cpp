#include "reports/triage/grammar.h"

#include <gtest/gtest.h>

#include <string>

namespace attnfuzz::triage {
namespace {

/// "[2 3] 4": shapes in brackets, numbers that can be sizes alone.
std::string mentioned(std::string_view text) {
  std::string all;
  for (const Mention& each : mentions_in(text)) {
    if (each.kind != Mention::Kind::shape && each.kind != Mention::Kind::size) continue;
    const bool shape = each.kind == Mention::Kind::shape;
    std::string words = shape ? "[" : "";
    for (const Size& size : each.sizes)
      words += (words.size() > 1 ? " " : "") + std::to_string(size.value);
    all += (all.empty() ? "" : " ") + words + (shape ? "]" : "");
  }
  return all;
}

TEST(Mentions, ShapesAreToldByTheWayTheyAreWritten) {
  EXPECT_EQ(mentioned("got [2, 8, 4, 32] and 3x5 and torch.Size([7, 9])"),
            "[2 8 4 32] [3 5] [7 9]");
  EXPECT_EQ(mentioned("expected  640,  640, got  640,  160,     1,     1"),
            "[640 640] [640 160] 1 1");
  EXPECT_EQ(mentioned("of 640, 160 and so on"), "640 160");
}

TEST(Mentions, AListOfOneSizeIsAShapeBesideALongerOne) {
  EXPECT_EQ(mentioned("together with shapes (5,) (3,4)"), "[5] [3 4]");
  EXPECT_EQ(mentioned("shape (581,) into shape (512,)"), "581 512");
  EXPECT_EQ(mentioned("B=[7], mask [2, 3]"), "7 [2 3]");
}

TEST(Mentions, ACallsKeywordsAreNoShape) {
  EXPECT_EQ(mentioned("Attention(dim=96, heads=7)"), "96 7");
  EXPECT_EQ(mentioned("Shape(batch=2, len=9)"), "[2 9]");
  EXPECT_EQ(mentioned("[heads=7, dim=96]"), "[7 96]");
}

TEST(Mentions, AChoiceOfSizesIsNoShape) {
  EXPECT_EQ(mentioned("head_size must be one of [24, 48, 96]"), "24 48 96");
  EXPECT_EQ(mentioned("head_dim is not in range [24, 96]"), "24 96");
  EXPECT_EQ(mentioned("sizes: [4, 275]"), "[4 275]");
  EXPECT_EQ(mentioned("not supported: [96, 24]"), "[96 24]");
}

}  // namespace
}  // namespace attnfuzz::triage
