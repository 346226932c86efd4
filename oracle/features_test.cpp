#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "oracle/case.h"
#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

Case plain() {
  Case c;
  Problem& p = c.problem;
  p.batch = 2;
  p.num_heads = p.num_kv_heads = 4;
  p.q_len = p.kv_len = 5;
  p.head_dim = p.head_dim_v = 8;
  return c;
}

RuleUse rule(std::string_view name, std::vector<ParamValue> values = {}) {
  return {find_rule(name), std::move(values)};
}

std::string words(const Case& c) {
  return fmt::format("{}", fmt::join(features(c), " "));
}

bool has(const Case& c, std::string_view word) {
  const std::vector<std::string> all = features(c);
  return std::find(all.begin(), all.end(), word) != all.end();
}

TEST(Features, OfAPlainCase) {
  EXPECT_EQ(words(plain()), "dtype:f32 layout:bhsd");
}

TEST(Features, OfWhatIsAskedAndDropout) {
  Case c = plain();
  c.problem.outputs = {Output::out, Output::lse, Output::dq, Output::dv};
  c.problem.dropout_keep = 80;
  EXPECT_EQ(words(c), "dq dropout dtype:f32 dv layout:bhsd lse");
  EXPECT_EQ(one_line(c), "b2 h4 q5 kv5 d8 f32 dropout_keep=80% lse dq dv");
}

TEST(Features, OfEveryOption) {
  Case c = plain();
  Problem& p = c.problem;
  p.num_kv_heads = 2;
  p.q_len = 7;
  p.head_dim_v = 9;
  p.dtype = DType::bf16;
  p.layout = Layout::bshd;
  p.scale = 1;
  p.softcap = 30;
  p.sinks = true;
  p.memory_kv = 3;
  p.head_map = HeadMap::interleaved;
  p.bias_order = BiasOrder::before_softcap;
  p.mask.align = Align::bottom_right;
  p.mask.rules = {rule("causal"), rule("bias", {int64_t{2}})};
  c.data = {1, Distribution::large, NonFinite::inf_value};
  EXPECT_EQ(words(c),
            "align:bottom_right bias.shape:hqk bias_order:before_softcap cross data:large "
            "dtype:bf16 gqa head_dim_v head_map:interleaved layout:bshd longer_q memory_kv "
            "nonfinite:inf_value rule:bias rule:causal scale sinks softcap");
}

TEST(Features, OfACache) {
  Case c = plain();
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.num_kv_heads = 1;
  c.problem.mask.rules = {rule("window", {int64_t{3}, int64_t{0}})};
  c.cache = Cache{CacheKind::ring, 4, 0};
  c.steps = {{StepOp::prefill, 5, {}, {}, 0}, {StepOp::decode, 1, {1, 0}, {}, 0}};
  EXPECT_EQ(words(c),
            "cache:ring dtype:f32 layout:bhsd mqa ragged rule:window step:decode step:prefill");
  c.steps[0].q_len = 0;
  EXPECT_TRUE(has(c, "empty"));
}

TEST(Features, OptionsWithoutEffectAreNone) {
  Case c = plain();
  c.problem.head_map = HeadMap::interleaved;  // as many KV heads as query heads
  c.problem.bias_order = BiasOrder::before_softcap;
  c.problem.mask.align = Align::bottom_right;
  c.problem.mask.rules = {rule("causal"), rule("alibi")};
  c.problem.fully_masked = FullyMasked::nan;
  EXPECT_EQ(words(c), "dtype:f32 layout:bhsd rule:alibi rule:causal");
}

TEST(Features, FullyMaskedRows) {
  Case c = plain();
  c.problem.fully_masked = FullyMasked::nan;
  c.problem.mask.rules = {rule("causal"),
                          rule("padding", {int64_t{0}, std::vector<int64_t>{5, 3}})};
  EXPECT_TRUE(has(c, "fully_masked:nan"));
  c.problem.memory_kv = 1;
  EXPECT_FALSE(has(c, "fully_masked:nan"));
  c.problem.memory_kv = 0;
  c.problem.sinks = true;
  EXPECT_FALSE(has(c, "fully_masked:nan"));
  c.problem.sinks = false;
  c.problem.mask.rules[1].values[0] = int64_t{1};  // right: the first key is real
  EXPECT_FALSE(has(c, "fully_masked:nan"));
  c.problem.mask.rules.clear();
  c.problem.kv_len = 0;
  EXPECT_TRUE(has(c, "fully_masked:nan"));
  EXPECT_TRUE(has(c, "empty"));
}

TEST(Features, FullyMaskedIsWhatTheDenseMaskSays) {
  EXPECT_TRUE(rc::check([] {
    const Case c = testing::random_case(false);
    const Problem& p = c.problem;
    const DenseMask dense = dense_mask(p, c.data);
    const int64_t rows = p.batch * p.num_heads * p.q_len;
    bool some = false;
    for (int64_t row = 0; row < rows; ++row) {
      const auto begin = dense.visible.begin() + row * p.kv_len;
      some |= std::find(begin, begin + p.kv_len, 1) == begin + p.kv_len;
    }
    RC_ASSERT(has(c, fmt::format("fully_masked:{}", name(p.fully_masked))) ==
              (some && p.memory_kv == 0 && !p.sinks));
  }));
}

TEST(OneLine, SaysWhatTheCaseUses) {
  Case c = plain();
  c.problem.num_kv_heads = 2;
  c.problem.mask.rules = {rule("causal"), rule("chunk", {int64_t{4}, int64_t{1}})};
  EXPECT_EQ(one_line(c), "b2 h4/2 q5 kv5 d8 f32 causal chunk(4,token)");
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.mask.rules.clear();
  c.problem.head_dim_v = 6;
  c.cache = Cache{CacheKind::paged, 64, 16};
  c.steps = {{StepOp::prefill, 5, {5, 3}, {}, 0},
             {StepOp::decode, 1, {}, {}, 0},
             {StepOp::reorder, 0, {}, {1, 0}, 0},
             {StepOp::crop, 0, {}, {}, 4},
             {StepOp::reset, 0, {}, {}, 0}};
  EXPECT_EQ(one_line(c),
            "b2 h4/2 d8/6 f32 paged(64/16) prefill5[5,3] decode reorder[1,0] crop4 reset");
}

}  // namespace
}  // namespace attnfuzz
