#include "targets/specimens/specimen_testing.h"

namespace attnfuzz {
namespace {

using namespace testing;

Case sequence_first(CacheKind kind) {
  Case c = documented_cached_case(kind);
  c.problem.layout = Layout::bshd;
  return c;
}

TEST(GlaCacheOffset, CountsHeads) {
  const Outcome outcome = run("specimen:gla-cache-offset", sequence_first(CacheKind::dynamic));
  ASSERT_EQ(outcome.status, Status::ok);
  EXPECT_EQ(outcome.steps[0].lengths, (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(outcome.steps[1].lengths, (std::vector<int64_t>{8, 8}));
}

TEST(GlaCacheOffset, AGrowingCacheStillAttendsRightly) {
  const Case c = sequence_first(CacheKind::dynamic);
  Outcome outcome = run("specimen:gla-cache-offset", c);
  EXPECT_EQ(what_is_wrong(c, outcome), "lengths");
  for (size_t s = 0; s < c.steps.size(); ++s)
    outcome.steps[s].lengths.assign(2, 5 + static_cast<int64_t>(s));
  EXPECT_EQ(what_is_wrong(c, outcome), "");
}

TEST(GlaCacheOffset, ABufferIsWrittenAtTheWrongPlace) {
  const Case c = sequence_first(CacheKind::fixed);
  Outcome outcome = run("specimen:gla-cache-offset", c);
  for (size_t s = 0; s < c.steps.size(); ++s)
    outcome.steps[s].lengths.assign(2, 5 + static_cast<int64_t>(s));
  EXPECT_EQ(what_is_wrong(c, outcome).substr(0, 6), "step 1");  // token 4 is overwritten by token 5
}

TEST(GlaCacheOffset, ABufferThatIsPassedIsAnError) {
  Case c = sequence_first(CacheKind::fixed);
  c.problem.num_heads = 8;
  c.steps = {tokens(StepOp::prefill, 5), tokens(StepOp::append, 7)};
  EXPECT_EQ(run("specimen:gla-cache-offset", c).text,
            "The expanded size of the tensor (4) must match the existing size (7) at non-singleton "
            "dimension 2.  Target sizes: [2, 2, 4, 16].  Tensor sizes: [2, 2, 7, 16]");
}

TEST(GlaCacheOffset, RightHeadFirstAndWhereTokensAreAsManyAsHeads) {
  const Case head_first = documented_cached_case(CacheKind::fixed);
  EXPECT_EQ(what_is_wrong(head_first, run("specimen:gla-cache-offset", head_first)), "");
  Case four_tokens = sequence_first(CacheKind::fixed);
  four_tokens.steps = {tokens(StepOp::prefill, 4), tokens(StepOp::append, 4)};
  EXPECT_EQ(what_is_wrong(four_tokens, run("specimen:gla-cache-offset", four_tokens)), "");
}

TEST(GlaCacheOffset, Fixed) {
  for (const CacheKind kind : {CacheKind::dynamic, CacheKind::fixed})
    EXPECT_EQ(
        what_is_wrong(sequence_first(kind), run("fixed:gla-cache-offset", sequence_first(kind))),
        "");
}

}  // namespace
}  // namespace attnfuzz
