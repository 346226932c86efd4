// Steps and kinds of caches that change which tokens a row holds and where they stand.
#include <gtest/gtest.h>

#include "oracle/case_io.h"
#include "oracle/lower/cache_history.h"

namespace attnfuzz {
namespace {

Case with(const Cache& cache, std::vector<Step> steps) {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.cache = cache;
  c.steps = std::move(steps);
  check(c);
  return c;
}

Step tokens(StepOp op, int64_t q_len, std::vector<int64_t> lens = {}, Side side = Side::right) {
  Step step;
  step.op = op;
  step.q_len = q_len;
  step.lens = std::move(lens);
  step.side = side;
  return step;
}

Step evict(int64_t start, int64_t count) {
  Step step;
  step.op = StepOp::evict;
  step.start = start;
  step.count = count;
  return step;
}

Step fork(int64_t from, int64_t to) {
  Step step;
  step.op = StepOp::fork;
  step.from = from;
  step.to = to;
  return step;
}

std::vector<int64_t> positions(const CacheHistory& model, int64_t b) {
  return model.positions(b);
}

using Numbers = std::vector<int64_t>;

TEST(CacheHistorySteps, EvictedTokensLeaveAGapOrNone) {
  for (const bool shifted : {false, true}) {
    Cache cache;
    cache.positions = shifted ? Positions::shifted : Positions::kept;
    const Case c =
        with(cache, {tokens(StepOp::prefill, 5, {5, 2}), evict(1, 3), tokens(StepOp::decode, 1)});
    CacheHistory model(c);
    model.apply(0);
    model.apply(1);
    EXPECT_EQ(model.lengths(), (Numbers{2, 1}));
    EXPECT_EQ(model.next_positions(), shifted ? (Numbers{2, 1}) : (Numbers{5, 2}));
    model.apply(2);
    EXPECT_EQ(positions(model, 0), shifted ? (Numbers{0, 1, 2}) : (Numbers{0, 4, 5}));
    EXPECT_EQ(positions(model, 1), shifted ? (Numbers{0, 1}) : (Numbers{0, 2}));
    EXPECT_EQ(model.entries(0)[1].key, (Token{0, 0, 4}));
  }
}

TEST(CacheHistorySteps, ACropBehindAGapGoesBackToThePositionOfWhatIsLost) {
  Step crop;
  crop.op = StepOp::crop;
  crop.length = 1;
  const Case c = with({}, {tokens(StepOp::prefill, 5), evict(1, 2), crop});
  CacheHistory model(c);
  for (size_t n = 0; n < 3; ++n) model.apply(n);
  EXPECT_EQ(model.next_positions(), (Numbers{3, 3}));
}

TEST(CacheHistorySteps, AForkCopiesOneRow) {
  const Case c =
      with({}, {tokens(StepOp::prefill, 3, {3, 1}), fork(0, 1), tokens(StepOp::append, 2, {1, 2})});
  CacheHistory model(c);
  for (size_t n = 0; n < 3; ++n) model.apply(n);
  EXPECT_EQ(model.lengths(), (Numbers{4, 5}));
  EXPECT_EQ(model.entries(1)[2].key, (Token{0, 0, 2}));
  EXPECT_EQ(model.entries(1)[3].key, (Token{2, 1, 0}));
}

TEST(CacheHistorySteps, LeftPaddedTokensStandAtTheEndOfTheStep) {
  const Case c = with({}, {tokens(StepOp::prefill, 4, {4, 1}, Side::left)});
  CacheHistory model(c);
  model.apply(0);
  EXPECT_EQ(model.first_new(1), 3);
  EXPECT_EQ(model.entries(1)[0].key, (Token{0, 1, 3}));
  EXPECT_EQ(model.positions(1)[0], 0);
}

TEST(CacheHistorySteps, EachKindForgetsInItsWay) {
  struct Row {
    Cache cache;
    Numbers left_of_7;  ///< positions that the next step finds
    bool odd_head_sees_0;
    int64_t capacity;
  };
  const Row table[] = {{{CacheKind::ring, 3, 0, 0}, {4, 5, 6}, false, 3},
                       {{CacheKind::chunked, 3, 0, 0}, {6}, false, 3},
                       {{CacheKind::hybrid, 3, 0, 0}, {0, 1, 2, 3, 4, 5, 6}, false, 0},
                       {{CacheKind::sink_window, 3, 0, 1}, {0, 5, 6}, true, 3}};
  for (const Row& row : table) {
    SCOPED_TRACE(std::string(name(row.cache.kind)));
    const Case c = with(row.cache, {tokens(StepOp::prefill, 7), tokens(StepOp::append, 0)});
    CacheHistory model(c);
    model.apply(0);
    EXPECT_EQ(model.lengths()[0], static_cast<int64_t>(row.left_of_7.size()));
    EXPECT_EQ(cache_shows(*c.cache, 6, 0, 1), row.odd_head_sees_0);
    EXPECT_EQ(model.capacity(), row.capacity);
    model.apply(1);
    EXPECT_EQ(positions(model, 0), row.left_of_7);
  }
}

TEST(CacheHistorySteps, CaseFilesKeepThem) {
  Cache cache{CacheKind::dynamic};
  cache.positions = Positions::shifted;
  const Case c =
      with(cache, {tokens(StepOp::prefill, 4, {4, 1}, Side::left), evict(1, 2), fork(1, 0)});
  CaseFile file;
  file.c = c;
  const std::string text = write_case(file);
  EXPECT_NE(text.find(R"("side": "left")"), std::string::npos) << text;
  EXPECT_EQ(parse_case(text, "text").c, c);
  EXPECT_EQ(one_line(c), "b2 h2 d1 f32 causal dynamic shifted prefill4[4,1]left evict1+2 fork1→0");
}

TEST(CacheHistorySteps, ImpossibleOnesAreRejected) {
  const Step prefill = tokens(StepOp::prefill, 2);
  EXPECT_THROW(with({}, {prefill, fork(0, 2)}), InputError);
  EXPECT_THROW(with({}, {prefill, evict(0, 0)}), InputError);
  EXPECT_THROW(with({CacheKind::ring, 4}, {prefill, evict(0, 1)}), InputError);
  EXPECT_THROW(with({CacheKind::sink_window, 4, 0, 4}, {prefill}), InputError);
  EXPECT_THROW(with({CacheKind::ring, 4, 0, 1}, {prefill}), InputError);
  EXPECT_THROW(with({}, {tokens(StepOp::prefill, 2, {}, Side::left)}), InputError);
}

}  // namespace
}  // namespace attnfuzz
