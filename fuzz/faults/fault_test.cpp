#include "fuzz/faults/fault.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "oracle/answer.h"
#include "oracle/case.h"

namespace attnfuzz {
namespace {

RuleUse use(std::string_view name, std::vector<ParamValue> values = {}) {
  return {find_rule(name), std::move(values)};
}
ParamValue list(std::vector<int64_t> values) {
  return values;
}

Case sized(std::vector<RuleUse> rules) {
  Case c;
  c.problem = {.batch = 2,
               .num_heads = 6,
               .num_kv_heads = 3,
               .q_len = 5,
               .kv_len = 7,
               .head_dim = 4,
               .head_dim_v = 3,
               .scale = 0.7,
               .fully_masked = FullyMasked::uniform,
               .mask = {Align::top_left, std::move(rules)}};
  return c;
}

Case on_cache(Cache cache, std::vector<RuleUse> rules, std::vector<Step> steps) {
  Case c = sized(std::move(rules));
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache = cache;
  c.steps = std::move(steps);
  return c;
}

/// Cases that between them use all that faults are about.
std::vector<Case> examples() {
  std::vector<Case> all{
      sized({}),
      sized({use("causal")}),
      sized({use("window", {int64_t{2}, int64_t{1}})}),
      sized({use("chunk", {int64_t{3}, int64_t{0}}), use("padding", {int64_t{0}, list({3, 5})})}),
      sized({use("chunk", {int64_t{3}, int64_t{1}}), use("padding", {int64_t{0}, list({3, 5})})}),
      sized({use("padding", {int64_t{1}, list({0, 5})})}),
      sized({use("prefix", {list({2, 3})})}),
      sized({use("documents", {list({2, 3, 2})})}),
      sized({use("boolean", {int64_t{3}, int64_t{60}})}),
      sized({use("alibi")}),
      sized({use("bias", {int64_t{3}})}),
      sized({use("block_sparse", {int64_t{3}, int64_t{2}, int64_t{3}, int64_t{60}})}),
      sized({use("dilated", {int64_t{2}})}),
      sized({use("indices", {int64_t{3}, int64_t{2}, int64_t{5}, int64_t{60}})}),
      sized({use("spans", {list({2, 3, 2})})}),
      sized({use("relative_bias", {int64_t{6}, int64_t{4}, int64_t{0}, int64_t{0}})}),
  };
  Case blocks = sized({use("block_sparse", {int64_t{3}, int64_t{2}, int64_t{3}, int64_t{60}})});
  blocks.problem.fully_masked = FullyMasked::zero;
  all.push_back(blocks);
  for (const Align align : {Align::top_left, Align::bottom_right}) {
    Case packed = sized({use("packed", {list({1, 0, 3, 1}), list({2, 1, 1, 3})}), use("causal"),
                         use("window", {int64_t{2}, int64_t{0}})});
    packed.problem.fully_masked = FullyMasked::zero;
    packed.problem.mask.align = align;
    all.push_back(packed);
  }
  Case tree = sized({use("tree", {list({-1, 0, 1, 0, 3})})});
  tree.problem.mask.align = Align::bottom_right;
  all.push_back(tree);
  Case log = sized({use("relative_bias", {int64_t{8}, int64_t{6}, int64_t{1}, int64_t{1}})});
  log.problem.mask.align = Align::bottom_right;
  all.push_back(log);
  for (const ProblemKind kind :
       {ProblemKind::linear, ProblemKind::gated_delta, ProblemKind::retnet}) {
    Case state = sized({use("causal")});
    state.problem.kind = kind;
    state.problem.q_len = state.problem.kv_len = 70;  // more than the largest chunk
    all.push_back(state);
    state = on_cache({CacheKind::dynamic}, {use("causal")},
                     {{StepOp::prefill, 4, {}, {}, 0}, {StepOp::append, 3, {}, {}, 0}});
    state.problem.kind = kind;
    all.push_back(state);
  }
  Case varied = sized({use("bias", {int64_t{0}})});
  varied.problem.softcap = 0.8;
  varied.problem.sinks = true;
  varied.problem.memory_kv = 2;
  varied.problem.head_map = HeadMap::interleaved;
  all.push_back(varied);
  varied.problem.bias_order = BiasOrder::before_softcap;
  all.push_back(varied);
  Case aligned = sized({use("causal")});
  aligned.problem.mask.align = Align::bottom_right;
  all.push_back(aligned);
  Case hidden = sized({use("padding", {int64_t{0}, list({0, 5})})});
  hidden.problem.fully_masked = FullyMasked::zero;
  all.push_back(hidden);
  all.push_back(on_cache({CacheKind::dynamic, 0, 0}, {use("causal")},
                         {{StepOp::prefill, 4, {4, 2}, {}, 0},
                          {StepOp::append, 3, {}, {}, 0},
                          {StepOp::reorder, 0, {}, {1, 0}, 0},
                          {StepOp::crop, 0, {}, {}, 3},
                          {StepOp::decode, 1, {}, {}, 0},
                          {StepOp::reset, 0, {}, {}, 0},
                          {StepOp::prefill, 2, {}, {}, 0}}));
  Case backward = sized({use("causal"), use("bias", {int64_t{3}})});
  backward.problem.fully_masked = FullyMasked::zero;
  backward.problem.softcap = 2;
  backward.problem.sinks = true;
  backward.problem.dropout_keep = 80;
  backward.problem.memory_kv = 2;
  backward.problem.mask.align = Align::bottom_right;
  backward.problem.outputs = {Output::out,    Output::lse,    Output::dq,
                              Output::dk,     Output::dv,     Output::dbias,
                              Output::dsinks, Output::dmem_k, Output::dmem_v};
  all.push_back(backward);
  backward.problem.head_dim_v = 6;
  all.push_back(backward);
  Step evict, fork, append;
  evict.op = StepOp::evict;
  evict.start = 1;
  evict.count = 2;
  fork.op = StepOp::fork;
  fork.to = 1;
  append.q_len = 2;
  Step prefill = append;
  prefill.op = StepOp::prefill;
  prefill.q_len = 4;
  all.push_back(on_cache({CacheKind::dynamic, 0, 0}, {use("causal"), use("alibi")},
                         {prefill, evict, fork, append}));
  all.push_back(on_cache({CacheKind::ring, 3, 0}, {use("causal")},
                         {{StepOp::prefill, 5, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}}));
  all.push_back(on_cache({CacheKind::sink_window, 4, 0, 1}, {use("causal")},
                         {{StepOp::prefill, 6, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}}));
  all.push_back(on_cache({CacheKind::paged, 16, 3}, {use("causal")}, {prefill, fork, append}));
  Case turned = on_cache({CacheKind::dynamic, 0, 0}, {use("causal")},
                         {prefill, append, evict, evict, append});
  turned.problem.rope = Rope::half;
  turned.problem.rope_base = 20;
  turned.cache->positions = Positions::shifted;
  all.push_back(turned);
  Case in_part = sized({use("causal")});
  in_part.problem.rope = Rope::interleaved;
  in_part.problem.rope_dim = 2;
  all.push_back(in_part);
  for (const auto& [law, truncate] : {std::pair{RopeLaw::linear, true},
                                      {RopeLaw::ntk, true},
                                      {RopeLaw::dynamic_ntk, true},
                                      {RopeLaw::yarn, true},
                                      {RopeLaw::yarn, false},
                                      {RopeLaw::llama3, true}}) {
    Case scaled = sized({use("causal")});
    scaled.problem.head_dim = 8;
    scaled.problem.rope = Rope::half;
    scaled.problem.rope_base = 20;
    RopeScaling& scaling = scaled.problem.rope_scaling;
    scaling = {law, 4};
    if (scaling.has_original_len()) scaling.original_len = 5;
    if (scaling.has_ramp()) scaling.low = 0.25;
    if (scaling.has_ramp()) scaling.high = 0.9;
    scaling.magnitude = 1.2;
    scaling.truncate = truncate;
    all.push_back(scaled);
  }
  for (const Strides strides : {Strides::gaps, Strides::transposed, Strides::fused}) {
    Case views = sized({use("causal")});
    views.problem.strides = strides;
    if (strides == Strides::fused) {
      views.problem.kv_len = views.problem.q_len;
      views.problem.head_dim_v = views.problem.head_dim;
    }
    all.push_back(views);
  }
  Case positioned = sized({use("causal")});
  positioned.problem.rope = Rope::half;
  positioned.problem.rope_positions = {3, 0, 1, 9, 2, 2, 5};
  all.push_back(positioned);
  Case quantised = on_cache({CacheKind::dynamic, 0, 0}, {use("causal")}, {prefill, append});
  quantised.cache->quant = Quant::int8;
  quantised.cache->scales = Scales::head;
  all.push_back(quantised);
  return all;
}

/// Cases for the loops over keys, the tensors that are read wrong, and the rarer steps.
std::vector<Case> more_examples() {
  std::vector<Case> all;
  Case wide = sized({});
  wide.problem.head_dim = wide.problem.head_dim_v = 39;
  wide.problem.memory_kv = 2;
  all.push_back(wide);
  Case capped = sized({});
  capped.problem.softcap = 0.8;
  all.push_back(capped);
  Case square = sized({use("causal")});
  square.problem.num_kv_heads = square.problem.num_heads;
  square.problem.kv_len = square.problem.q_len;
  all.push_back(square);
  all.push_back(on_cache({CacheKind::ring, 5, 0}, {use("causal")},
                         {{StepOp::prefill, 4, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}}));
  all.push_back(on_cache({CacheKind::dynamic, 0, 0}, {use("window", {int64_t{2}, int64_t{1}})},
                         {{StepOp::prefill, 4, {}, {}, 0}, {StepOp::append, 3, {}, {}, 0}}));
  all.push_back(on_cache({CacheKind::fixed, 16, 0}, {use("causal")},
                         {{StepOp::prefill, 4, {}, {}, 0}, {StepOp::append, 3, {}, {}, 0}}));
  Case tiny = sized({});
  tiny.data.dist = Distribution::tiny;
  all.push_back(tiny);
  Case distant = sized({use("alibi")});
  distant.problem.mask.align = Align::bottom_right;
  all.push_back(distant);
  for (const bool causal : {false, true}) {  // tiles of up to 128
    Case tiled = sized({});
    if (causal) tiled.problem.mask.rules = {use("causal")};
    tiled.problem.batch = 1;
    tiled.problem.kv_len = 157;
    all.push_back(tiled);
  }
  Case rows = on_cache({CacheKind::dynamic, 0, 0}, {use("causal")},
                       {{StepOp::prefill, 4, {}, {}, 0},
                        {StepOp::reorder, 0, {}, {1, 2, 0}, 0},
                        {StepOp::decode, 1, {}, {}, 0},
                        {StepOp::crop, 0, {}, {}, 0},
                        {StepOp::append, 2, {}, {}, 0}});
  rows.problem.batch = 3;
  all.push_back(rows);
  Step padded{StepOp::prefill, 4, {4, 2}, {}, 0};
  padded.side = Side::left;
  all.push_back(on_cache({CacheKind::dynamic, 0, 0}, {use("causal")}, {padded}));
  all.push_back(on_cache({CacheKind::paged, 16, 3}, {use("causal")},
                         {{StepOp::prefill, 5, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}}));
  return all;
}

/// Whether some element that both check is farther off than both bounds allow.
bool differs(const std::vector<double>& a, const std::vector<double>& a_bound,
             const std::vector<double>& b, const std::vector<double>& b_bound) {
  for (size_t k = 0; k < a.size(); ++k) {
    const double allowed = a_bound[k] + b_bound[k];
    if (std::isinf(allowed)) continue;
    if (std::isnan(a[k]) != std::isnan(b[k])) return true;
    if (std::abs(a[k] - b[k]) > allowed) return true;
  }
  return false;
}

bool differs(const Answer& one, const Answer& other) {
  for (size_t n = 0; n < one.steps.size(); ++n) {
    const StepAnswer &a = one.steps[n], &b = other.steps[n];
    if (differs(a.out, a.bound, b.out, b.bound)) return true;
    for (size_t k = 0; k < a.more.size(); ++k)
      if (differs(a.more[k].values, a.more[k].bound, b.more[k].values, b.more[k].bound))
        return true;
  }
  return false;
}

TEST(Faults, EachAppliesToAnExampleAndShowsThere) {
  std::set<std::string> shown;
  std::vector<Case> all = examples();
  for (Case& c : more_examples()) all.push_back(std::move(c));
  for (const Case& c : all) {
    ASSERT_NO_THROW(check(c));
    const Inputs inputs = make_inputs(c);
    const Answer truth = answer(c, inputs, Precision{});
    for (const Fault& fault : faults()) {
      const std::optional<Answer> meant = faulty_answer(fault, c, inputs, Precision{});
      if (!meant) continue;
      EXPECT_TRUE(fault.read != nullptr || fault.plan != nullptr || fault.evaluate != nullptr ||
                  *fault.rewrite(c) != c)
          << fault.name << " on " << one_line(c);
      ASSERT_EQ(meant->steps.size(), truth.steps.size());
      if (differs(truth, *meant)) shown.emplace(fault.name);
    }
  }
  for (const Fault& fault : faults()) {
    EXPECT_TRUE(shown.contains(std::string(fault.name))) << fault.name;
  }
}

TEST(Faults, OfACaseWithoutHeads) {
  Case c = sized({use("causal")});
  c.problem.num_heads = c.problem.num_kv_heads = 0;
  c.problem.memory_kv = 2;
  c.problem.sinks = true;
  ASSERT_NO_THROW(check(c));
  const Inputs inputs = make_inputs(c);
  for (const Fault& fault : faults())
    EXPECT_NO_THROW(faulty_answer(fault, c, inputs, Precision{})) << fault.name;
}

TEST(Faults, NamesAreUniqueAndWordsAreThere) {
  std::set<std::string_view> names;
  for (const Fault& fault : faults()) {
    EXPECT_TRUE(names.insert(fault.name).second) << fault.name;
    EXPECT_FALSE(fault.words.empty());
  }
  EXPECT_GE(names.size(), 150u);
}

TEST(Faults, RewriteOfAPlainSquareCaseLeavesItsInputsAlone) {
  Case c = sized({use("causal")});
  c.problem.kv_len = c.problem.q_len;
  for (const Fault& fault : faults()) {
    const std::optional<Case> other = fault.rewrite(c);
    if (!other) continue;
    EXPECT_NE(fault.name, "align-bottom-right") << "means the same where q_len = kv_len";
    EXPECT_EQ(other->data, c.data) << fault.name;
    EXPECT_EQ(other->problem.layout, c.problem.layout) << fault.name;
  }
}

}  // namespace
}  // namespace attnfuzz
