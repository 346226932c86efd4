#include "reports/show.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "oracle/random_case.h"
#include "reports/sample_findings.h"
#include "reports/show_plan.h"
#include "reports/show_steps.h"

namespace attnfuzz {
namespace {

TEST(Show, CaseInWords) {
  EXPECT_EQ(describe(samples::window_case()),
            "Attention over 2 sequences with 4 query heads on 2 KV heads (grouped), 8 queries on "
            "11 keys, head size 16, f32, layout bhsd.\n"
            "A query sees a key if all of these hold:\n"
            "  - causal: the key is not after the query\n"
            "  - window(left=3, right=0): the key is at most `left` tokens before and `right` "
            "tokens after the query\n"
            "The last query stands at the last key, query 0 at key 3 (bottom_right).\n"
            "Scores are scaled by 1/sqrt(16).\n"
            "A row that sees no key gives zeros.\n"
            "Data: normal, seed 7.\n");
}

TEST(Show, StepsWithLengths) {
  Case c = samples::cached_case();
  c.steps[0].lens = {5, 7};
  c.steps.push_back({StepOp::reorder, 0, {}, {1, 1}, 0});
  const std::string words = describe(c);
  EXPECT_NE(words.find("Cache: dynamic. Steps:\n"
                       "  - step 0: prefill 7 tokens, of which real [5, 7] → lengths [5, 7]\n"
                       "      row 0: 0–4\n"
                       "      row 1: 0–6\n"
                       "  - step 1: decode 1 token → lengths [6, 8]\n"
                       "      row 0: 0–5\n"
                       "      row 1: 0–7\n"
                       "  - step 2: reorder to rows [1, 1] → lengths [8, 8]\n"),
            std::string::npos)
      << words;
}

TEST(Show, Mask) {
  EXPECT_EQ(draw_mask(samples::window_case(), 0, 0, false),
            "  key 0    5    10\n"
            "   q0 ####.......\n"
            "   q1 .####......\n"
            "   q2 ..####.....\n"
            "   q3 ...####....\n"
            "   q4 ....####...\n"
            "   q5 .....####..\n"
            "   q6 ......####.\n"
            "   q7 .......####\n");
  EXPECT_NE(draw_mask(samples::window_case(), 1, 3, true).find("   q0 ████·······\n"),
            std::string::npos);
}

TEST(Show, PlanOfAWindow) {
  const std::string plan = plan_text(samples::window_case());
  EXPECT_NE(plan.find("Query heads 0–3 read KV heads [0, 0, 1, 1].\n"
                      "  row 0:\n"
                      "    keys 0–10: tokens 0–10 of row 0, at positions 0–10\n"
                      "    queries 0–7: at positions 3–10\n"
                      "      query 0 sees the keys at 0–3\n"
                      "      query 1 sees the keys at 1–4\n"),
            std::string::npos)
      << plan;
}

TEST(Show, PlanOfACacheThatRollsAndMovesItsTokensUp) {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = c.problem.num_kv_heads = 2;
  c.problem.head_dim = c.problem.head_dim_v = 4;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.rope = Rope::half;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.cache = Cache{CacheKind::hybrid, 2};
  c.steps = {
      {StepOp::prefill, 3, {}, {}}, {StepOp::reorder, 0, {}, {1, 1}}, {StepOp::decode, 1, {}, {}}};
  check(c);
  const std::string plan = plan_text(c);
  EXPECT_NE(
      plan.find("step 1: reorder to rows [1, 1]\n"
                "  the cache then holds [3, 3] tokens; the next positions are [3, 3]\n"
                "step 2: decode 1 token\n"
                "  row 0:\n"
                "    keys 0–2: tokens 0–2 of step 0, row 1, at positions 0–2, rotated by 0–2\n"
                "    keys 3: tokens 0 of step 2, row 0, at positions 3, rotated by 3\n"
                "    queries 0: at positions 3, rotated by 3\n"
                "      query 0 of head 0 sees the keys at 0–3\n"
                "      query 0 of head 1 sees the keys at 2–3\n"),
      std::string::npos)
      << plan;
}

TEST(Show, PlanOfAnyCaseNamesItsRows) {
  EXPECT_TRUE(rc::check([] {
    const Case c = testing::random_case(testing::between(0, 1) == 1);
    const std::string plan = plan_text(c);
    const bool reads = !c.cached() || std::any_of(c.steps.begin(), c.steps.end(),
                                                  [](const Step& s) { return s.has_tokens(); });
    for (int64_t b = 0; reads && b < c.problem.batch; ++b)
      RC_ASSERT(plan.find(fmt::format("  row {}:", b)) != std::string::npos);
  }));
}

TEST(Show, LongMaskHasAnEllipsis) {
  Case c = samples::window_case();
  c.problem.q_len = 200;
  c.problem.kv_len = 300;
  const std::string drawn = draw_mask(c, 0, 0, false, 60);
  size_t lines = 0, start = 0;
  for (size_t end = drawn.find('\n'); end != drawn.npos; end = drawn.find('\n', start)) {
    EXPECT_LE(end - start, 62u);
    start = end + 1;
    ++lines;
  }
  EXPECT_LE(lines, 50u);
  EXPECT_NE(drawn.find('~'), std::string::npos);
  EXPECT_NE(drawn.find(" q199 "), std::string::npos);
  EXPECT_TRUE(drawn.ends_with("(drawn: 47 of 200 queries, 53 of 300 keys)\n")) << drawn;
}

TEST(Show, OnlyWhatIsDrawnOfAMaskIsWorkedOut) {
  Case c = samples::window_case();
  c.problem.batch = c.problem.num_heads = c.problem.num_kv_heads = 4096;
  c.problem.q_len = c.problem.kv_len = int64_t{1} << 24;
  const std::string drawn = draw_mask(c, 4095, 4095, false);
  EXPECT_TRUE(drawn.ends_with("####\n(drawn: 47 of 16777216 queries, 69 of 16777216 keys)\n"))
      << drawn;
}

TEST(Show, InfiniteBiasHidesInTheDrawing) {
  Case c = samples::window_case();
  c.problem.mask.rules.push_back({find_rule("bias"), {int64_t{0}}});
  c.data.nonfinite = NonFinite::inf_bias;
  const DenseMask mask = dense_mask(c.problem, c.data);
  const std::string drawn = draw_mask(c, 0, 0, false);
  size_t at = drawn.find('\n') + 1;
  for (int64_t i = 0; i < c.problem.q_len; ++i, ++at) {
    at += 6;
    for (int64_t j = 0; j < c.problem.kv_len; ++j, ++at)
      EXPECT_EQ(drawn[at] == '#', mask.visible[static_cast<size_t>(i * c.problem.kv_len + j)] != 0);
  }
}

TEST(Show, CasesWithoutRowsOrHeadsHaveNoDrawing) {
  Case no_rows = samples::window_case(), no_heads = samples::window_case();
  no_rows.problem.batch = 0;
  no_heads.problem.num_heads = no_heads.problem.num_kv_heads = 0;
  for (const Case& c : {no_rows, no_heads, samples::cached_case()}) {
    EXPECT_NE(describe(c), "");
    EXPECT_EQ(draw_mask(c, 0, 0, false).empty(), !c.cached());
  }
  EXPECT_THROW(draw_mask(no_rows, 1, 0, false), InputError);
  EXPECT_THROW(draw_mask(no_heads, 0, 1, false), InputError);
}

TEST(Show, CachedMaskIsDrawnStepByStep) {
  Case c = samples::cached_case();
  c.steps[0].q_len = 2;
  EXPECT_EQ(draw_mask(c, 0, 0, false),
            "step 0 (prefill)\n"
            "  key 0 \n"
            "   q0 #.\n"
            "   q1 ##\n"
            "step 1 (decode)\n"
            "  key 0  \n"
            "   q2 ###\n");
}

TEST(Show, StepsTellLengthsPagesAndPositions) {
  Case c = samples::cached_case();
  c.problem.batch = 2;
  c.cache = Cache{CacheKind::paged, 16, 4};
  Step prefill, fork, evict, decode;
  prefill.op = StepOp::prefill;
  prefill.q_len = 6;
  prefill.lens = {6, 2};
  prefill.side = Side::left;
  fork.op = StepOp::fork;
  fork.to = 1;
  evict.op = StepOp::evict;
  evict.start = 1;
  evict.count = 2;
  decode.op = StepOp::decode;
  decode.q_len = 1;
  c.steps = {prefill, fork, decode, evict};
  EXPECT_EQ(timeline(c),
            "Cache: paged, capacity 16 tokens, pages of 4; tokens behind an eviction keep their "
            "positions. Steps:\n"
            "  - step 0: prefill 6 tokens, of which real [6, 2] behind padding → lengths [6, 2]\n"
            "      row 0: page 0: 0–3 | page 1: 4–5\n"
            "      row 1: page 2: 0–1\n"
            "  - step 1: fork row 0 to row 1 → lengths [6, 6]\n"
            "      row 0: page 0: 0–3 | page 1: 4–5\n"
            "      row 1: page 0: 0–3 | page 1: 4–5\n"
            "  - step 2: decode 1 token → lengths [7, 7]\n"
            "      row 0: page 0: 0–3 | page 3: 4–6\n"
            "      row 1: page 0: 0–3 | page 1: 4–6\n"
            "  - step 3: evict 2 tokens from slot 1 on → lengths [5, 5], next positions [7, 7]\n"
            "      row 0: page 4: 0, 3–5 | page 3: 6\n"
            "      row 1: page 0: 0, 3–5 | page 1: 6\n");
}

TEST(Show, NoSuchRow) {
  EXPECT_THROW(draw_mask(samples::small_case(), 2, 0, false), InputError);
  EXPECT_THROW(draw_mask(samples::small_case(), 0, 4, false), InputError);
}

}  // namespace
}  // namespace attnfuzz
