#include "targets/specimens/specimen_testing.h"

namespace attnfuzz {
namespace {

using namespace testing;

Case windowed(int64_t left) {
  Case c = documented_case();
  add_rule(c, "window", {left, int64_t{0}});
  return c;
}

TEST(SdpaWindowIgnored, EqualsCausalWithoutAWindow) {
  const Outcome outcome = run("specimen:sdpa-window-ignored", windowed(3));
  EXPECT_EQ(outcome.status, Status::ok);
  EXPECT_NE(what_is_wrong(windowed(3), outcome), "");
  EXPECT_EQ(what_is_wrong(documented_case(), outcome), "");
  EXPECT_EQ(what_is_wrong(windowed(3), run("fixed:sdpa-window-ignored", windowed(3))), "");
}

TEST(SdpaWindowIgnored, RightWhereTheWindowHoldsAllKeys) {
  EXPECT_EQ(what_is_wrong(windowed(7), run("specimen:sdpa-window-ignored", windowed(7))), "");
  EXPECT_NE(what_is_wrong(windowed(6), run("specimen:sdpa-window-ignored", windowed(6))), "");
}

}  // namespace
}  // namespace attnfuzz
