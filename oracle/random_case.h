#pragma once
#include <rapidcheck.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "oracle/case.h"

// Valid cases for property tests; call inside rc::check.
namespace attnfuzz::testing {

inline int64_t between(int64_t lo, int64_t hi) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<int64_t>(lo, hi + 1));
}

template <class E>
E any_of() {
  return static_cast<E>(between(0, static_cast<int64_t>(names_of<E>.size()) - 1));
}

inline std::vector<int64_t> list_between(int64_t size, int64_t lo, int64_t hi) {
  std::vector<int64_t> list(static_cast<size_t>(size));
  for (int64_t& value : list) value = between(lo, hi);
  return list;
}

/// Positive integers that sum to `total`.
inline std::vector<int64_t> parts_of(int64_t total) {
  std::vector<int64_t> parts;
  for (; total > 0; total -= parts.back()) parts.push_back(between(1, total));
  return parts;
}

/// Three numbers of at least 0 that sum to `total`.
inline std::vector<int64_t> three_parts_of(int64_t total) {
  const int64_t first = between(0, total), second = between(0, total - first);
  return {first, second, total - first - second};
}

inline ParamValue random_value(const RuleParam& param, const Problem& p, bool cached) {
  const int64_t most = cached ? 9 : p.kv_len;
  switch (param.kind) {
    case RuleParam::Kind::integer:
      return between(param.min, std::min<int64_t>(param.max, 101));
    case RuleParam::Kind::choice:
      return between(0, static_cast<int64_t>(param.choices.size()) - 1);
    case RuleParam::Kind::per_batch:
      return list_between(p.batch, param.min, most);
    case RuleParam::Kind::parents: {
      std::vector<int64_t> parents(static_cast<size_t>(between(0, p.kv_len)));
      for (size_t n = 0; n < parents.size(); ++n)
        parents[n] = between(-1, static_cast<int64_t>(n) - 1);
      return parents;
    }
    case RuleParam::Kind::q_lens:
      return three_parts_of(p.q_len);
    case RuleParam::Kind::kv_lens:
      return three_parts_of(p.kv_len);
    case RuleParam::Kind::lengths:
      break;
  }
  return parts_of(p.kv_len);
}

inline Mask random_mask(const Problem& p, bool cached) {
  Mask mask;
  mask.align = any_of<Align>();
  for (const RuleSpec* spec : rule_table()) {
    if ((cached && !spec->on_cache) || between(0, 3) != 0) continue;
    RuleUse use{spec, {}};
    for (const RuleParam& param : spec->params) {
      use.values.push_back(random_value(param, p, cached));
    }
    mask.rules.push_back(std::move(use));
  }
  if (mask.find("packed") != nullptr)
    std::erase_if(mask.rules, [](const RuleUse& use) {
      static constexpr std::string_view with_packed[] = {
          "packed", "causal", "window", "boolean", "bias", "dilated", "alibi", "relative_bias"};
      return std::ranges::find(with_packed, use.spec->name) == std::end(with_packed);
    });
  return mask;
}

/// Of those that the problem has.
inline std::vector<Output> random_outputs(const Problem& p, bool cached) {
  std::vector<Output> outputs{Output::out};
  const auto add = [&](Output output, bool has) {
    if (has && between(0, 3) == 0) outputs.push_back(output);
  };
  add(Output::lse, true);
  for (const Output output : {Output::dq, Output::dk, Output::dv}) add(output, !cached);
  add(Output::dbias, !cached && p.mask.adds_bias());
  add(Output::dsinks, !cached && p.sinks);
  for (const Output output : {Output::dmem_k, Output::dmem_v})
    add(output, !cached && p.memory_kv > 0);
  return outputs;
}

inline void add_steps(Case& c) {
  c.cache = Cache{any_of<CacheKind>(), 0, 0};
  c.cache->positions = any_of<Positions>();
  const bool cross = c.cache->kind == CacheKind::cross;
  if (c.cache->kind != CacheKind::dynamic && !cross) c.cache->capacity = 40;
  if (c.data.nonfinite != NonFinite::inf_value) c.cache->quant = any_of<Quant>();
  if (c.cache->quant != Quant::none) c.cache->scales = any_of<Scales>();
  if (c.cache->kind == CacheKind::paged) c.cache->page_size = between(1, 9);
  if (c.cache->kind == CacheKind::sink_window) c.cache->keep = between(1, 39);
  const int64_t batch = c.problem.batch;
  const int64_t count = between(1, 6);
  for (int64_t n = 0; n < count; ++n) {
    Step step;
    const bool empty = n == 0 || c.steps.back().op == StepOp::reset;
    step.op = empty ? StepOp::prefill : static_cast<StepOp>(between(1, 7));
    const bool cuts = step.op == StepOp::crop || step.op == StepOp::evict;
    if ((step.op == StepOp::fork && batch == 0) || (cross && cuts) ||
        (step.op == StepOp::evict && c.cache->forgets()))
      step.op = StepOp::append;
    const bool fills = step.op == StepOp::prefill;
    if (step.has_tokens() && cross) step.kv_len = fills ? between(1, 6) : 0;
    if (step.has_tokens()) step.q_len = step.op == StepOp::decode ? 1 : between(0, 6);
    if (step.has_tokens() && (fills || !cross) && between(0, 1) == 1)
      step.lens = list_between(batch, cross ? 1 : 0, step.keys());
    if (!step.lens.empty()) step.side = any_of<Side>();
    if (step.op == StepOp::reorder && batch > 0) step.rows = list_between(batch, 0, batch - 1);
    if (step.op == StepOp::fork) step.from = between(0, batch - 1);
    if (step.op == StepOp::fork) step.to = between(0, batch - 1);
    if (step.op == StepOp::evict) step.start = between(0, 4);
    if (step.op == StepOp::evict) step.count = between(1, 4);
    c.steps.push_back(std::move(step));
  }
}

/// Makes the case one of attention with a state: what goes with softmax alone is taken away.
inline void make_recurrent(Case& c) {
  Problem& p = c.problem;
  const Problem plain;
  p.kind = static_cast<ProblemKind>(between(1, 5));
  p.kv_len = p.q_len;
  p.softcap = 0;
  p.sinks = false;
  p.memory_kv = 0;
  p.bias_order = plain.bias_order;
  p.fully_masked = plain.fully_masked;
  p.dropout_keep = plain.dropout_keep;
  p.outputs = plain.outputs;
  p.rope = plain.rope;
  p.rope_base = plain.rope_base;
  p.rope_dim = plain.rope_dim;
  p.rope_part = plain.rope_part;
  p.strides = plain.strides;
  p.rope_scaling = plain.rope_scaling;
  p.rope_positions = plain.rope_positions;
  p.mask.rules = {{find_rule("causal"), {}}};
  if (!c.cached() && between(0, 1) == 1)
    p.mask.rules.push_back({find_rule("documents"), {parts_of(p.kv_len)}});
  if (c.data.dist == Distribution::large || c.data.dist == Distribution::huge)
    c.data.dist = Distribution::normal;
  if (c.data.nonfinite >= NonFinite::inf_value) c.data.nonfinite = NonFinite::none;
  if (c.cached()) c.cache = Cache{};
  std::erase_if(c.steps, [](const Step& step) {
    return step.op == StepOp::crop || step.op == StepOp::evict;
  });
  for (Step& step : c.steps)
    if (step.kv_len) {  // of a cross cache, whose lengths are those of keys
      step.kv_len.reset();
      step.lens.clear();
    }
}

inline RopeScaling random_scaling(const Problem& p, bool cached) {
  RopeScaling scaling;
  scaling.law = any_of<RopeLaw>();
  const bool dynamic = scaling.law == RopeLaw::dynamic_ntk;
  if (scaling.law == RopeLaw::none || (dynamic && (cached || p.mask.find("packed") != nullptr)))
    return {};
  scaling.factor = static_cast<double>(between(2, 17)) / 2;
  if (scaling.has_original_len()) scaling.original_len = between(1, 60);
  if (scaling.has_ramp()) {  // of which yarn's begins below the first pair and ends behind it
    scaling.low = static_cast<double>(scaling.original_len) / 16;
    scaling.high = static_cast<double>(between(2, 16)) * scaling.low;
  }
  scaling.magnitude = static_cast<double>(between(2, 6)) / 4;
  scaling.truncate = scaling.law != RopeLaw::yarn;
  return scaling;
}

inline Case random_case(bool cached = between(0, 2) == 0) {
  Case c;
  Problem& p = c.problem;
  p.batch = between(0, 3);
  p.num_kv_heads = between(1, 3);
  p.num_heads = p.num_kv_heads * between(0, 3);
  p.q_len = cached ? 0 : between(0, 8);
  p.kv_len = cached ? 0 : between(0, 9);
  p.head_dim = between(1, 7);
  p.head_dim_v = between(1, 7);
  p.dtype = any_of<DType>();
  p.layout = any_of<Layout>();
  if (between(0, 1) == 1) p.scale = static_cast<double>(between(-64, 64)) / 37;
  if (between(0, 1) == 1) p.softcap = static_cast<double>(between(0, 500)) / 10;
  p.sinks = between(0, 1) == 1;
  p.memory_kv = between(0, 3);
  p.head_map = any_of<HeadMap>();
  p.bias_order = any_of<BiasOrder>();
  p.fully_masked = any_of<FullyMasked>();
  p.mask = random_mask(p, cached);
  if (!cached && between(0, 3) == 0) p.dropout_keep = between(1, 99);
  p.outputs = random_outputs(p, cached);
  c.data = {*rc::gen::arbitrary<uint64_t>(), any_of<Distribution>(), any_of<NonFinite>()};
  if (cached) add_steps(c);
  const bool cross = cached && c.cache->kind == CacheKind::cross;
  if (cross) p.mask.rules.clear();
  if (!cached && between(0, 3) == 0) p.strides = any_of<Strides>();
  const bool rows_differ = p.strides == Strides::shared && c.data.nonfinite != NonFinite::none;
  const bool parts_differ = lengths_differ(p) || p.head_dim != p.head_dim_v;
  if (rows_differ || (p.strides == Strides::fused && parts_differ)) p.strides = Strides::gaps;
  if (p.head_dim % 2 == 0 && !cross && !p.asks_gradients()) p.rope = any_of<Rope>();
  if (p.rope != Rope::none) p.rope_base = static_cast<double>(between(2, 20000));
  if (p.rope != Rope::none && p.head_dim > 2 && between(0, 1) == 1) {
    p.rope_dim = 2 * between(1, (p.head_dim - 1) / 2);
    p.rope_part = any_of<RopePart>();
  }
  if (p.rope != Rope::none && between(0, 2) == 0) p.rope_scaling = random_scaling(p, cached);
  if (p.rope != Rope::none && !cached && !has_longer_q(p) && between(0, 3) == 0)
    p.rope_positions = list_between(p.kv_len, 0, 50);
  if (p.rope != Rope::none && cached && c.cache->quant != Quant::none)
    c.cache->positions = Positions::kept;
  if (cached && c.data.nonfinite > NonFinite::inf_bias) c.data.nonfinite = NonFinite::none;
  if (!cross && between(0, 4) == 0) make_recurrent(c);
  const bool after = p.softcap == 0 || p.bias_order == BiasOrder::after_softcap;
  if (c.data.nonfinite == NonFinite::inf_bias &&
      (p.mask.find("bias") == nullptr || p.mask.find("relative_bias") != nullptr ||
       p.dtype == DType::e4m3 || !after))
    c.data.nonfinite = NonFinite::none;
  return c;
}

}  // namespace attnfuzz::testing
