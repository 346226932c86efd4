#include "targets/specimens/specimen_testing.h"

namespace attnfuzz {
namespace {

using namespace testing;

TEST(GqaTiledHeads, WrongForGroupsOnly) {
  Case groups = documented_case(), one = groups, all = groups;
  one.problem.num_kv_heads = 1;
  all.problem.num_kv_heads = 4;
  EXPECT_NE(what_is_wrong(groups, run("specimen:gqa-tiled-heads", groups)), "");
  EXPECT_EQ(what_is_wrong(groups, run("fixed:gqa-tiled-heads", groups)), "");
  for (const Case& c : {one, all})
    EXPECT_EQ(what_is_wrong(c, run("specimen:gqa-tiled-heads", c)), "");
}

TEST(GqaTiledHeads, EqualsTheInterleavedMap) {
  Case interleaved = documented_case();
  interleaved.problem.head_map = HeadMap::interleaved;
  EXPECT_EQ(what_is_wrong(interleaved, run("specimen:gqa-tiled-heads", documented_case())), "");
}

TEST(SoftcapAfterMask, HiddenKeysGetWeight) {
  Case c = documented_case();
  c.problem.softcap = 2;
  EXPECT_NE(what_is_wrong(c, run("specimen:softcap-after-mask", c)), "");
  EXPECT_EQ(what_is_wrong(c, run("fixed:softcap-after-mask", c)), "");
  Case nothing_hidden = c, no_cap = c;
  nothing_hidden.problem.mask.rules.clear();
  no_cap.problem.softcap = 0;
  for (const Case& right : {nothing_hidden, no_cap})
    EXPECT_EQ(what_is_wrong(right, run("specimen:softcap-after-mask", right)), "");
}

Case windowed(int64_t left) {
  Case c = documented_case();
  c.problem.layout = Layout::bshd;
  add_rule(c, "window", {left, int64_t{0}});
  return c;
}

TEST(FlashWindowOffByOne, EqualsAWindowOfOneKeyMore) {
  const Outcome outcome = run("specimen:flash-window-off-by-one", windowed(3));
  EXPECT_NE(what_is_wrong(windowed(3), outcome), "");
  EXPECT_EQ(what_is_wrong(windowed(4), outcome), "");
  EXPECT_EQ(what_is_wrong(windowed(3), run("fixed:flash-window-off-by-one", windowed(3))), "");
  EXPECT_EQ(what_is_wrong(windowed(7), run("specimen:flash-window-off-by-one", windowed(7))), "");
}

Case beams(std::vector<int64_t> rows) {
  Case c = documented_cached_case(CacheKind::dynamic);
  Step reorder;
  reorder.op = StepOp::reorder;
  reorder.rows = std::move(rows);
  c.steps.insert(c.steps.begin() + 1, reorder);
  return c;
}

TEST(BeamReorderSkipped, WrongUnlessEachBeamGoesOnWithItself) {
  const Case swapped = beams({1, 0}), kept = beams({0, 1});
  EXPECT_EQ(what_is_wrong(swapped, run("specimen:beam-reorder-skipped", swapped)).substr(0, 6),
            "step 2");
  EXPECT_EQ(what_is_wrong(swapped, run("fixed:beam-reorder-skipped", swapped)), "");
  EXPECT_EQ(what_is_wrong(kept, run("specimen:beam-reorder-skipped", kept)), "");
}

}  // namespace
}  // namespace attnfuzz
