#include "targets/specimens/specimen_testing.h"

namespace attnfuzz {
namespace {

using namespace testing;

Case chunked(int64_t chunk) {
  Case c = documented_case();
  add_rule(c, "chunk", {chunk, int64_t{0}});
  return c;
}

TEST(Llama4ChunkedEager, EightTokensInTwoRows) {
  const Outcome outcome = run("specimen:llama4-chunked-eager", chunked(4));
  EXPECT_EQ(outcome.status, Status::error);
  EXPECT_EQ(outcome.text,
            "The size of tensor a (8) must match the size of tensor b (2) at non-singleton "
            "dimension 0");
  EXPECT_EQ(what_is_wrong(chunked(4), run("fixed:llama4-chunked-eager", chunked(4))), "");
}

TEST(Llama4ChunkedEager, RightForOneRowAndForOneChunk) {
  Case one_row = chunked(4);
  one_row.problem.batch = 1;
  add_rule(one_row, "padding", {int64_t{0}, std::vector<int64_t>{5}});
  EXPECT_EQ(what_is_wrong(one_row, run("specimen:llama4-chunked-eager", one_row)), "");
  Case one_chunk = chunked(8);
  add_rule(one_chunk, "padding", {int64_t{0}, std::vector<int64_t>{8, 5}});
  EXPECT_EQ(what_is_wrong(one_chunk, run("specimen:llama4-chunked-eager", one_chunk)), "");
}

TEST(Llama4ChunkedEager, SilentlyWrongWhereRowsAndQueriesAreAsMany) {
  Case c = chunked(2);
  c.problem.batch = c.problem.q_len = c.problem.kv_len = 4;
  add_rule(c, "padding", {int64_t{1}, std::vector<int64_t>{4, 3, 2, 1}});
  EXPECT_EQ(run("specimen:llama4-chunked-eager", c).status, Status::ok);
  EXPECT_NE(what_is_wrong(c, run("specimen:llama4-chunked-eager", c)), "");
  EXPECT_EQ(what_is_wrong(c, run("fixed:llama4-chunked-eager", c)), "");
}

TEST(Llama4ChunkedFlex, ShorterThanAChunk) {
  const Outcome outcome = run("specimen:llama4-chunked-flex", chunked(8192));
  EXPECT_EQ(outcome.status, Status::error);
  EXPECT_EQ(outcome.text.substr(0, outcome.text.find(". ")),
            "block_mask was created for block_mask.shape=(2, 1, 8, 8192) but got q_len=8 and "
            "kv_len=8");
  EXPECT_NE(outcome.text.find("for a larger length than you're using it for"), std::string::npos);
  EXPECT_EQ(what_is_wrong(chunked(8192), run("fixed:llama4-chunked-flex", chunked(8192))), "");
}

TEST(Llama4ChunkedFlex, RightFromAChunkOn) {
  for (const int64_t chunk : {3, 8})
    EXPECT_EQ(what_is_wrong(chunked(chunk), run("specimen:llama4-chunked-flex", chunked(chunk))),
              "");
}

TEST(Llama4FlexDynamicCache, NoneForTheLimit) {
  const Case c = documented_cached_case(CacheKind::dynamic);
  const Outcome outcome = run("specimen:llama4-flex-dynamic-cache", c);
  EXPECT_EQ(outcome.status, Status::error);
  EXPECT_EQ(outcome.text,
            "pad(): argument 'pad' failed to unpack the object at pos 2 with error \"type must be "
            "tuple of ints,but got NoneType\"");
  EXPECT_EQ(what_is_wrong(c, run("fixed:llama4-flex-dynamic-cache", c)), "");
}

TEST(Llama4FlexDynamicCache, RightWithALimit) {
  const Case c = documented_cached_case(CacheKind::fixed);
  EXPECT_EQ(what_is_wrong(c, run("specimen:llama4-flex-dynamic-cache", c)), "");
}

}  // namespace
}  // namespace attnfuzz
