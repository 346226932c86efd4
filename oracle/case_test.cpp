#include "oracle/case.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

using Lens = std::vector<int64_t>;

Case plain() {
  Case c;
  Problem& p = c.problem;
  p.batch = 2;
  p.num_heads = 6;
  p.num_kv_heads = 3;
  p.q_len = 4;
  p.kv_len = 5;
  p.head_dim = p.head_dim_v = 8;
  return c;
}

Case roped() {
  Case c = plain();
  c.problem.rope = Rope::half;
  return c;
}

Case cached(CacheKind kind = CacheKind::dynamic) {
  Case c = plain();
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.cache = Cache{kind, kind == CacheKind::dynamic ? 0 : 8, kind == CacheKind::paged ? 4 : 0};
  c.steps = {{StepOp::prefill, 5, {5, 3}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}};
  return c;
}

/// The complaint about a case, empty if there is none.
std::string complaint(const Case& c) {
  try {
    check(c, "x.json");
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

/// One thing wrong with a case, and the path and words of the complaint.
struct Wrong {
  const char* complaint;
  Case base;
  void (*spoil)(Case&);
};

void use(Case& c, std::string_view rule, std::vector<ParamValue> values) {
  c.problem.mask.rules.push_back({find_rule(rule), std::move(values)});
}

Case recurrent(ProblemKind kind) {
  Case c = plain();
  c.problem.kind = kind;
  c.problem.q_len = c.problem.kv_len;
  use(c, "causal", {});
  return c;
}

const Wrong wrongs[] = {
    {"/problem/q_len: expected as many queries as keys for \"linear\", found 4 and 5",
     recurrent(ProblemKind::linear), [](Case& c) { c.problem.q_len = 4; }},
    {"/problem/kind: expected no \"kind:ssd\" with \"sinks\"", recurrent(ProblemKind::ssd),
     [](Case& c) { c.problem.sinks = true; }},
    {"/problem/kind: expected no \"kind:ssd\" with \"rule:alibi\"", recurrent(ProblemKind::ssd),
     [](Case& c) { use(c, "alibi", {}); }},
    {"/problem/mask/rules: expected \"rule:causal\" beside \"kind:retnet\"",
     recurrent(ProblemKind::retnet), [](Case& c) { c.problem.mask.rules.clear(); }},
    {"/data/dist: expected no \"kind:delta\" with \"data:large\"", recurrent(ProblemKind::delta),
     [](Case& c) { c.data.dist = Distribution::large; }},
    {"/problem/kind: expected no \"kind:retnet\" with \"step:crop\"", cached(),
     [](Case& c) {
       c.problem.kind = ProblemKind::retnet;
       c.steps.emplace_back().op = StepOp::crop;
     }},
    {"/problem/batch: expected an integer from 0 to 4096, found -1", plain(),
     [](Case& c) { c.problem.batch = -1; }},
    {"/problem/q_len: expected an integer from 0 to 16777216, found -3", plain(),
     [](Case& c) { c.problem.q_len = -3; }},
    {"/problem/head_dim: expected an integer from 1 to 65536, found 0", plain(),
     [](Case& c) { c.problem.head_dim = 0; }},
    {"/problem/head_dim_v: expected an integer from 1 to 65536, found 65537", plain(),
     [](Case& c) { c.problem.head_dim_v = 65537; }},
    {"/problem/memory_kv: expected an integer", plain(), [](Case& c) { c.problem.memory_kv = -1; }},
    {"/problem/num_kv_heads: expected a divisor of num_heads 6, found 4", plain(),
     [](Case& c) { c.problem.num_kv_heads = 4; }},
    {"/problem/num_kv_heads: expected at least 1 KV head for 6 query heads", plain(),
     [](Case& c) { c.problem.num_kv_heads = 0; }},
    {"/problem/scale: expected 0 or a number from 0.0001 to 30000 or from -30000 to -0.0001, found "
     "inf",
     plain(), [](Case& c) { c.problem.scale = std::numeric_limits<double>::infinity(); }},
    {"/problem/scale: expected 0 or a number from", plain(),
     [](Case& c) { c.problem.scale = 1e39; }},
    {"/problem/scale: expected 0 or a number from", plain(),
     [](Case& c) { c.problem.scale = -1e-5; }},
    {"/problem/softcap: expected 0 or a number from 0.001 to 30000, found -1", plain(),
     [](Case& c) { c.problem.softcap = -1; }},
    {"/problem/softcap: expected 0 or a number from 0.001 to 30000, found 1e+39", plain(),
     [](Case& c) { c.problem.softcap = 1e39; }},
    {"/problem/softcap: expected 0 or a number from 0.001 to 30000, found 1e-50", plain(),
     [](Case& c) { c.problem.softcap = 1e-50; }},
    {"/problem/softcap: expected 0 or a number from 0.001 to 30000, found nan", plain(),
     [](Case& c) { c.problem.softcap = std::nan(""); }},
    {"/cache/capacity: expected an integer from 2 to 16777216, found 1", cached(),
     [](Case& c) {
       c.cache = Cache{CacheKind::sink_window, 1, 0, 1};
     }},
    {"/steps/2/op: expected no fork without batch rows", cached(),
     [](Case& c) {
       c.problem.batch = 0;
       c.steps[0].lens.clear();
       c.steps[1].lens.clear();
       c.steps.emplace_back().op = StepOp::fork;
     }},
    {"/problem/dropout_keep: expected an integer from 1 to 100, found 0", plain(),
     [](Case& c) { c.problem.dropout_keep = 0; }},
    {"/problem/dropout_keep: expected no \"dropout\" with \"cache:dynamic\"", cached(),
     [](Case& c) { c.problem.dropout_keep = 50; }},
    {"/problem/outputs: expected \"out\" first", plain(), [](Case& c) { c.problem.outputs = {}; }},
    {"/problem/outputs: expected \"out\" first", plain(),
     [](Case& c) { c.problem.outputs = {Output::dq}; }},
    {"/problem/outputs: expected each once, in the order out, lse, dq, dk", plain(),
     [](Case& c) {
       c.problem.outputs = {Output::out, Output::dk, Output::dq};
     }},
    {"/problem/outputs: expected no \"dv\" with \"cache:dynamic\"", cached(),
     [](Case& c) {
       c.problem.outputs = {Output::out, Output::dv};
     }},
    {"/problem/outputs: expected \"rule:bias\" or \"rule:alibi\" or \"rule:relative_bias\" beside "
     "\"dbias\"",
     plain(),
     [](Case& c) {
       c.problem.outputs = {Output::out, Output::dbias};
     }},
    {"/problem/outputs: expected \"sinks\" beside \"dsinks\"", plain(),
     [](Case& c) {
       c.problem.outputs = {Output::out, Output::dsinks};
     }},
    {"/problem/outputs: expected \"memory_kv\" beside \"dmem_v\"", plain(),
     [](Case& c) {
       c.problem.outputs = {Output::out, Output::dmem_v};
     }},
    {"/problem: expected at most", plain(),
     [](Case& c) { c.problem.q_len = c.problem.head_dim = c.problem.batch = 4096; }},
    {"/problem/kv_len: expected at most 65536 with the rule \"bias\"", plain(),
     [](Case& c) {
       c.problem.kv_len = 65537;
       use(c, "bias", {int64_t{0}});
     }},
    {"/problem/mask/rules/0: expected a mask rule", plain(),
     [](Case& c) { c.problem.mask.rules.push_back({}); }},
    {"/problem/mask/rules/1: expected each rule at most once, found \"causal\"", plain(),
     [](Case& c) {
       use(c, "causal", {});
       use(c, "causal", {});
     }},
    {"/problem/mask/rules/0: expected 2 parameters for \"window\"", plain(),
     [](Case& c) { use(c, "window", {}); }},
    {"/problem/mask/rules/0/left: expected an integer from 0 to 2147483647, found -1", plain(),
     [](Case& c) {
       use(c, "window", {int64_t{-1}, int64_t{0}});
     }},
    {"/problem/mask/rules/0/left: expected one integer", plain(),
     [](Case& c) {
       use(c, "window", {Lens{1}, int64_t{0}});
     }},
    {"/problem/mask/rules/0/size: expected an integer from 1", plain(),
     [](Case& c) {
       use(c, "chunk", {int64_t{0}, int64_t{0}});
     }},
    {"/problem/mask/rules/0/origin: expected an integer from 0 to 1, found 2", plain(),
     [](Case& c) {
       use(c, "chunk", {int64_t{1}, int64_t{2}});
     }},
    {"/problem/mask/rules/0/keep: expected an integer from 0 to 100, found 101", plain(),
     [](Case& c) {
       use(c, "boolean", {int64_t{0}, int64_t{101}});
     }},
    {"/problem/mask/rules/0/lens: expected a list of integers", plain(),
     [](Case& c) { use(c, "prefix", {int64_t{1}}); }},
    {"/problem/mask/rules/0/lens: expected one integer for each of the 2 batch rows, found 1",
     plain(), [](Case& c) { use(c, "prefix", {Lens{1}}); }},
    {"/problem/mask/rules/0/lens/1: expected an integer from 0 to 5, found 6", plain(),
     [](Case& c) {
       use(c, "padding", {int64_t{0}, Lens{1, 6}});
     }},
    {"/problem/mask/rules/0/lens: expected lengths that sum to kv_len 5, found 4", plain(),
     [](Case& c) {
       use(c, "documents", {Lens{1, 3}});
     }},
    {"/problem/mask/rules/0/lens/0: expected an integer from 1 to 5, found 0", plain(),
     [](Case& c) {
       use(c, "documents", {Lens{0, 5}});
     }},
    {"/problem/mask/rules/0/q_lens: expected lengths that sum to q_len 4, found 3", plain(),
     [](Case& c) {
       use(c, "packed", {Lens{1, 2}, Lens{2, 3}});
     }},
    {"/problem/mask/rules/0/kv_lens: expected as many lengths as \"q_lens\" has, 2, found 1",
     plain(),
     [](Case& c) {
       use(c, "packed", {Lens{1, 3}, Lens{5}});
     }},
    {"/problem/mask/rules: expected no \"rule:packed\" with \"rule:padding\"", plain(),
     [](Case& c) {
       use(c, "packed", {Lens{4}, Lens{5}});
       use(c, "padding", {int64_t{0}, Lens{1, 1}});
     }},
    {"/problem/rope_scaling/factor: expected a number from 1", roped(),
     [](Case& c) {
       c.problem.rope_scaling = {RopeLaw::linear, 0.5};
     }},
    {"/problem/rope_scaling/original_len: expected an integer from 1", roped(),
     [](Case& c) {
       c.problem.rope_scaling = {RopeLaw::dynamic_ntk, 2};
     }},
    {"/problem/rope_scaling: expected no ramp for ntk", roped(),
     [](Case& c) {
       c.problem.rope_scaling = {RopeLaw::ntk, 2, 0, 1, 4};
     }},
    {"/problem/rope_scaling: expected a ramp that begins before the last pair", roped(),
     [](Case& c) {
       c.problem.rope_scaling = {RopeLaw::yarn, 2, 5, 1, 4};
     }},
    {"/problem/rope_scaling: expected none without rope", plain(),
     [](Case& c) {
       c.problem.rope_scaling = {RopeLaw::linear, 2};
     }},
    {"/steps: expected no steps without a cache", plain(), [](Case& c) { c.steps.resize(1); }},
    {"/problem/q_len: expected none with a cache", cached(), [](Case& c) { c.problem.q_len = 1; }},
    {"/problem/kv_len: expected none with a cache", cached(),
     [](Case& c) { c.problem.kv_len = 1; }},
    {"/problem/mask/rules: expected no \"rule:padding\" with \"cache:dynamic\"", cached(),
     [](Case& c) {
       use(c, "padding", {int64_t{0}, Lens{0, 0}});
     }},
    {"/cache/capacity: expected 0 for a dynamic cache", cached(),
     [](Case& c) { c.cache->capacity = 1; }},
    {"/cache/capacity: expected an integer from 1", cached(CacheKind::ring),
     [](Case& c) { c.cache->capacity = 0; }},
    {"/cache/page_size: expected an integer from 1", cached(CacheKind::paged),
     [](Case& c) { c.cache->page_size = 0; }},
    {"/cache/page_size: expected 0 unless", cached(CacheKind::fixed),
     [](Case& c) { c.cache->page_size = 2; }},
    {"/steps: expected at least one step", cached(), [](Case& c) { c.steps.clear(); }},
    {"/steps/0/op: expected a prefill before \"decode\"", cached(),
     [](Case& c) { c.steps.erase(c.steps.begin()); }},
    {"/steps/1/op: expected a prefill before \"append\"", cached(),
     [](Case& c) {
       c.steps[0] = {StepOp::reset, 0, {}, {}, 0};
       c.steps[1] = {StepOp::append, 1, {}, {}, 0};
     }},
    {"/steps/1/op: expected \"append\" here", cached(),
     [](Case& c) { c.steps[1].op = StepOp::prefill; }},
    {"/steps/1/q_len: expected 1 for \"decode\", found 2", cached(),
     [](Case& c) { c.steps[1].q_len = 2; }},
    {"/steps/0/q_len: expected an integer from 0", cached(),
     [](Case& c) { c.steps[0].q_len = -1; }},
    {"/steps/0/lens: expected one integer for each of the 2 batch rows, found 3", cached(),
     [](Case& c) {
       c.steps[0].lens = {1, 2, 3};
     }},
    {"/steps/0/lens/1: expected an integer from 0 to 5, found 6", cached(),
     [](Case& c) {
       c.steps[0].lens = {1, 6};
     }},
    {"/steps/0: expected at most 8 tokens in a row of the cache, found 9 in row 0",
     cached(CacheKind::fixed),
     [](Case& c) {
       c.steps[0] = {StepOp::prefill, 9, {}, {}, 0};
     }},
    {"/steps/1: expected at most 8 tokens in a row of the cache, found 9 in row 1",
     cached(CacheKind::paged),
     [](Case& c) {
       c.steps[0] = {StepOp::prefill, 8, {2, 8}, {}, 0};
     }},
    {"/steps/1/rows: expected one integer for each of the 2 batch rows, found 0", cached(),
     [](Case& c) {
       c.steps[1] = {StepOp::reorder, 0, {}, {}, 0};
     }},
    {"/steps/1/rows/0: expected an integer from 0 to 1, found 2", cached(),
     [](Case& c) {
       c.steps[1] = {StepOp::reorder, 0, {}, {2, 0}, 0};
     }},
    {"/steps/1/length: expected an integer from 0 to 5, found 6", cached(),
     [](Case& c) {
       c.steps[1] = {StepOp::crop, 0, {}, {}, 6};
     }},
    {"/steps/1/op: expected no crop once a ring of 4 has dropped tokens", cached(CacheKind::ring),
     [](Case& c) {
       c.cache->capacity = 4;
       c.steps[1] = {StepOp::crop, 0, {}, {}, 2};
     }},
    {"/steps/1/rows: expected none for \"decode\"", cached(),
     [](Case& c) {
       c.steps[1].rows = {0, 1};
     }},
    {"/steps/1/length: expected none for \"decode\"", cached(),
     [](Case& c) { c.steps[1].length = 1; }},
    {"/steps/1/q_len: expected none for \"reset\"", cached(),
     [](Case& c) {
       c.steps[1] = {StepOp::reset, 1, {}, {}, 0};
     }},
    {"/problem/head_dim: expected an even number with rope, found 7", plain(),
     [](Case& c) {
       c.problem.head_dim = 7;
       c.problem.rope = Rope::half;
     }},
    {"/problem/rope_base: expected a finite number above 1 with rope, none without", plain(),
     [](Case& c) { c.problem.rope_base = 7; }},
    {"/cache/scales: expected none without \"quant\"", cached(),
     [](Case& c) { c.cache->scales = Scales::head; }},
    {"/data/nonfinite: expected no \"nonfinite:inf_value\" with \"quant:int8\"", cached(),
     [](Case& c) {
       c.cache->quant = Quant::int8;
       c.data.nonfinite = NonFinite::inf_value;
     }},
    {"/cache/positions: expected \"kept\" with rope in a quantised cache", cached(),
     [](Case& c) {
       c.problem.head_dim = 4;
       c.problem.rope = Rope::half;
       c.cache->quant = Quant::e4m3;
       c.cache->positions = Positions::shifted;
     }},
    {"/problem/rope_dim: expected 0, or with rope an even number below head_dim 8, found 8",
     plain(),
     [](Case& c) {
       c.problem.head_dim = c.problem.rope_dim = 8;
       c.problem.rope = Rope::half;
     }},
    {"/problem/rope_part: expected none without rope_dim", plain(),
     [](Case& c) { c.problem.rope_part = RopePart::last; }},
    {"/problem/mask/rules/0/parents/1: expected an integer from -1 to 0, found 1", plain(),
     [](Case& c) {
       c.problem.mask.rules = {{find_rule("tree"), {std::vector<int64_t>{-1, 1}}}};
     }},
    {"/problem/mask/rules/0/parents: expected at most kv_len", plain(),
     [](Case& c) {
       c.problem.mask.rules = {{find_rule("tree"), {std::vector<int64_t>(99, -1)}}};
     }},
    {"/data/nonfinite: expected no", cached(),
     [](Case& c) { c.data.nonfinite = NonFinite::nan_hidden; }},
    {"/steps/0/kv_len: expected none without a cross cache", cached(),
     [](Case& c) { c.steps[0].kv_len = 3; }},
    {"/steps/1/lens: expected none for \"reset\"", cached(),
     [](Case& c) {
       c.steps[1] = {StepOp::reset, 0, {1, 1}, {}, 0};
     }},
};

TEST(Check, NamesThePathAndWhatWasExpected) {
  for (const Wrong& wrong : wrongs) {
    ASSERT_EQ(complaint(wrong.base), "");
    Case c = wrong.base;
    wrong.spoil(c);
    EXPECT_TRUE(complaint(c).starts_with(std::string("x.json: ") + wrong.complaint))
        << "expected: " << wrong.complaint << "\nfound:    " << complaint(c);
  }
}

TEST(Check, LetsValidCasesPass) {
  EXPECT_TRUE(rc::check([] { RC_ASSERT(complaint(testing::random_case()) == ""); }));
}

TEST(Check, RowsGrowShrinkAndMoveWithTheSteps) {
  Case c = cached(CacheKind::fixed);  // rows of 6 and 4 after the two steps
  c.steps.push_back({StepOp::reorder, 0, {}, {1, 1}, 0});
  c.steps.push_back({StepOp::append, 4, {}, {}, 0});
  EXPECT_EQ(complaint(c), "");
  c.steps.push_back({StepOp::crop, 0, {}, {}, 7});
  c.steps.push_back({StepOp::decode, 1, {}, {}, 0});
  EXPECT_EQ(complaint(c), "");
  c.steps.push_back({StepOp::reset, 0, {}, {}, 0});
  c.steps.push_back({StepOp::prefill, 8, {}, {}, 0});
  EXPECT_EQ(complaint(c), "");
}

TEST(Check, CrossCachesAreFilledOnce) {
  Case c = cached(CacheKind::dynamic);
  c.cache->kind = CacheKind::cross;
  c.problem.mask.rules.clear();
  Step fill, ask;
  fill.op = StepOp::prefill;
  fill.q_len = 2;
  fill.kv_len = 5;
  fill.lens = {5, 1};
  ask.q_len = 3;
  ask.kv_len = 0;
  c.steps = {fill, ask};
  EXPECT_EQ(complaint(c), "");
  const auto wrong = [&](auto spoil, std::string_view words) {
    Case other = c;
    spoil(other);
    EXPECT_TRUE(complaint(other).starts_with(words)) << complaint(other);
  };
  wrong([](Case& x) { x.steps[1].kv_len = 2; },
        "x.json: /steps/1/kv_len: expected an integer from 0 to 0, found 2");
  wrong([](Case& x) { x.steps[1].kv_len.reset(); },
        "x.json: /steps/1/kv_len: expected a number of keys");
  wrong([](Case& x) { x.steps[0].kv_len = 0; },
        "x.json: /steps/0/kv_len: expected an integer from 1");
  wrong([](Case& x) { x.steps[0].lens[1] = 0; },
        "x.json: /steps/0/lens/1: expected an integer from 1 to 5");
  wrong(
      [](Case& x) {
        x.problem.mask.rules = {{find_rule("causal"), {}}};
      },
      "x.json: /problem/mask/rules: expected no \"rule:causal\" with \"cache:cross\"");
}

TEST(Problem, ScaleAndHeads) {
  Problem p = plain().problem;
  p.head_dim = 16;
  EXPECT_EQ(p.scale_value(), 0.25);
  p.scale = 3;
  EXPECT_EQ(p.scale_value(), 3);
  EXPECT_EQ(p.kv_head(5), 2);
  EXPECT_EQ(p.kv_head(1), 0);
  p.head_map = HeadMap::interleaved;
  EXPECT_EQ(p.kv_head(5), 2);
  EXPECT_EQ(p.kv_head(1), 1);
}

}  // namespace
}  // namespace attnfuzz
