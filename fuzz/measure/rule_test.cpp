#include "fuzz/measure/rule.h"

#include <gtest/gtest.h>

namespace attnfuzz::measure {
namespace {

TEST(Rule, NumbersAndWhatFollowsAreNoPartOfIt) {
  EXPECT_EQ(rule_of("Query heads 0–3, 5 (of 8) are zeros. Row 1 takes none."),
            rule_of("Query heads 2 (of 4) are zeros. Row 0 takes 7."));
  EXPECT_NE(rule_of("Keys are missing."), rule_of("Keys are taken twice."));
}

TEST(Rule, ATextWithoutNumbersIsTheSameForAllOfThem) {
  EXPECT_EQ(without_numbers("shapes (3, 1) and (4,)"), "shapes (#) and (#,)");
  EXPECT_EQ(without_numbers("(2,3,17) (5)"), without_numbers("(1,1) (12)"));
}

TEST(Rule, WithoutCountsTheNumbersOfRulesStay) {
  EXPECT_EQ(
      without_counts("The outputs of 16 queries are zeros; exactly for query ≤ 9. Seen at 3."),
      without_counts("The outputs of 204 queries are zeros; exactly for query ≤ 9."));
  EXPECT_EQ(without_counts("NaN comes out (3 of 7 queries)."),
            without_counts("NaN comes out (12 of 90 queries)."));
  EXPECT_NE(without_counts("exactly for query ≤ 9"), without_counts("exactly for query ≤ 12"));
}

}  // namespace
}  // namespace attnfuzz::measure
