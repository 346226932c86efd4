// Every CPU target against the oracle's answer and bound, on pseudo-random cases inside what it
// claims.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "oracle/answer.h"
#include "oracle/each_nth.h"
#include "oracle/inputs.h"
#include "targets/target.h"

namespace attnfuzz {
namespace {

/// Cases of all kinds; those that are impossible or that a target does not claim are passed over.
class RandomCases {
 public:
  explicit RandomCases(uint32_t seed) : random_(seed) {}

  Case next(const Capabilities& can) {
    for (;;) {
      Case c = can.sizes.contains("steps") ? cached(can) : plain(can);
      try {
        check(c);
      } catch (const InputError&) {
        continue;
      }
      if (can.rejection_reason(c).empty()) return c;
    }
  }

 private:
  int64_t upto(int64_t max) {
    return static_cast<int64_t>(random_() % (static_cast<uint64_t>(max) + 1));
  }
  bool once_in(int64_t n) { return upto(n - 1) == 0; }
  template <class E>
  E any_of() {
    return static_cast<E>(upto(static_cast<int64_t>(names_of<E>.size()) - 1));
  }
  int64_t size() { return once_in(4) ? upto(150) : upto(20); }

  void fill_problem(Problem& p, const Capabilities& can) {
    p.batch = std::min(1 + upto(2), can.sizes.at("batch").max);
    p.num_kv_heads = 1 + upto(2);
    p.num_heads = p.num_kv_heads * (1 + upto(2));
    p.head_dim = 1 + upto(20);
    p.head_dim_v = once_in(2) ? p.head_dim : 1 + upto(20);
    do p.dtype = any_of<DType>();
    while (!can.has(fmt::format("dtype:{}", name(p.dtype))));
    p.layout = any_of<Layout>();
    if (can.has("strides:gaps") && !once_in(3)) p.strides = any_of<Strides>();
    if (once_in(4)) p.scale = 0.25 * static_cast<double>(upto(4));
    if (once_in(4)) p.softcap = 1 + static_cast<double>(upto(20));
    p.sinks = once_in(4);
    if (once_in(4)) p.memory_kv = 1 + upto(3);
    p.head_map = any_of<HeadMap>();
    p.bias_order = any_of<BiasOrder>();
    p.fully_masked = any_of<FullyMasked>();
    if (once_in(4)) p.dropout_keep = 50;
    if (p.head_dim % 2 == 0 && once_in(2)) p.rope = any_of<Rope>();
    if (p.rope != Rope::none) p.rope_base = once_in(2) ? 10000 : 20;
    if (p.rope != Rope::none && p.head_dim > 2 && can.has("rope_part:first") && once_in(2)) {
      p.rope_dim = 2 + 2 * upto((p.head_dim - 3) / 2);
      p.rope_part = any_of<RopePart>();
    }
    if (p.rope != Rope::none && can.has("rope_scaling:yarn") && once_in(2)) fill_scaling(p);
  }

  void fill_scaling(Problem& p) {
    RopeScaling& scaling = p.rope_scaling;
    scaling.law = any_of<RopeLaw>();
    if (scaling.law == RopeLaw::none) return;
    scaling.factor = 1 + static_cast<double>(upto(20)) / 4;
    if (scaling.has_original_len()) scaling.original_len = 1 + upto(200);
    if (scaling.has_ramp()) {
      scaling.low = static_cast<double>(scaling.original_len) / static_cast<double>(8 + upto(60));
      scaling.high = scaling.low * static_cast<double>(2 + upto(30));
    }
    if (once_in(2)) scaling.magnitude = 0.5 + 0.25 * static_cast<double>(upto(4));
    if (scaling.law == RopeLaw::yarn) scaling.truncate = once_in(2);
  }

  /// Everything beside out that there is, half of the time.
  void ask(Problem& p, const Capabilities& can) {
    if (once_in(2)) return;
    const auto add = [&](Output output, bool has) {
      if (is_gradient(output) && p.rope != Rope::none) return;
      if (has && can.has(name(output))) p.outputs.push_back(output);
    };
    add(Output::lse, true);
    for (const Output output : {Output::dq, Output::dk, Output::dv}) add(output, true);
    add(Output::dbias, p.mask.adds_bias());
    add(Output::dsinks, p.sinks);
    for (const Output output : {Output::dmem_k, Output::dmem_v}) add(output, p.memory_kv > 0);
  }

  ParamValue value(const RuleParam& param, const Problem& p) {
    using Kind = RuleParam::Kind;
    const bool percent = param.name == "keep";
    if (param.kind == Kind::integer) return param.min + (percent ? 20 + upto(80) : size());
    if (param.kind == Kind::choice) return upto(static_cast<int64_t>(param.choices.size()) - 1);
    std::vector<int64_t> list;
    const int64_t most = p.kv_len > 0 ? p.kv_len : 10;
    if (param.kind == Kind::parents) {
      for (int64_t n = upto(p.kv_len); n > 0; --n)
        list.push_back(upto(static_cast<int64_t>(list.size())) - 1);
      return list;
    }
    if (param.kind == Kind::q_lens || param.kind == Kind::kv_lens) {  // of three sequences
      const int64_t sum = param.kind == Kind::q_lens ? p.q_len : p.kv_len;
      const int64_t first = upto(sum), second = upto(sum - first);
      return std::vector<int64_t>{first, second, sum - first - second};
    }
    if (param.kind == Kind::per_batch)
      for (int64_t b = 0; b < p.batch; ++b) list.push_back(upto(most));
    else
      for (int64_t left = p.kv_len; left > 0; left -= list.back())
        list.push_back(1 + upto(left - 1));
    return list;
  }

  void add_rules(Problem& p) {
    for (int64_t n = upto(3); n > 0; --n) {
      const RuleSpec* spec =
          rule_table()[static_cast<size_t>(upto(static_cast<int64_t>(rule_table().size()) - 1))];
      if (p.mask.find(spec->name)) continue;
      RuleUse use{spec, {}};
      for (const RuleParam& param : spec->params) use.values.push_back(value(param, p));
      p.mask.rules.push_back(use);
    }
  }

  void fill_data(Data& data) {
    data.seed = random_();
    if (once_in(3)) data.dist = any_of<Distribution>();
    if (once_in(3)) data.nonfinite = any_of<NonFinite>();
  }

  Case plain(const Capabilities& can) {
    Case c;
    fill_problem(c.problem, can);
    c.problem.kv_len = size();
    c.problem.q_len = once_in(2) ? c.problem.kv_len : size();
    c.problem.mask.align = any_of<Align>();
    add_rules(c.problem);
    if (c.problem.rope != Rope::none && can.has("rope_positions") && once_in(3))
      for (int64_t j = 0; j < c.problem.kv_len; ++j) c.problem.rope_positions.push_back(upto(400));
    ask(c.problem, can);
    fill_data(c.data);
    return c;
  }

  Case cached(const Capabilities& can) {
    Case c;
    Problem& p = c.problem;
    fill_problem(p, can);
    p.q_len = p.kv_len = 0;
    fill_data(c.data);
    fill_cache(c.cache.emplace(), can);
    const bool cross = c.cache->kind == CacheKind::cross;
    if (cross)
      p.rope = Rope::none;
    else
      add_rules(p);
    if (p.rope == Rope::none) p.rope_base = Problem().rope_base;
    for (int64_t n = 1 + upto(6); n > 0; --n) {
      Step step;
      step.op = c.steps.empty() ? StepOp::prefill : any_of<StepOp>();
      if (step.has_tokens()) step.q_len = step.op == StepOp::decode ? 1 : upto(20);
      if (step.has_tokens() && cross) step.kv_len = step.op == StepOp::prefill ? 1 + upto(20) : 0;
      if (step.op == StepOp::fork) step.from = upto(p.batch - 1);
      if (step.op == StepOp::fork) step.to = upto(p.batch - 1);
      if (step.op == StepOp::evict) step.start = upto(6);
      if (step.op == StepOp::evict) step.count = 1 + upto(6);
      const bool ragged = step.has_tokens() && step.keys() > 0 && n % 2 == 0;
      if (ragged && can.has("ragged_left")) step.side = any_of<Side>();
      if (step.op == StepOp::crop) step.length = upto(20);
      for (int64_t b = 0; b < p.batch; ++b) {
        if (step.op == StepOp::reorder) step.rows.push_back(upto(p.batch - 1));
        if (ragged) step.lens.push_back(cross ? 1 + upto(step.keys() - 1) : upto(step.keys()));
      }
      c.steps.push_back(step);
    }
    return c;
  }

  void fill_cache(Cache& cache, const Capabilities& can) {
    do cache.kind = any_of<CacheKind>();
    while (!can.has(fmt::format("cache:{}", name(cache.kind))));
    if (cache.kind != CacheKind::dynamic && cache.kind != CacheKind::cross)
      cache.capacity = 2 + upto(60);
    if (cache.kind == CacheKind::paged) cache.page_size = 1 + upto(16);
    if (cache.kind == CacheKind::sink_window) cache.keep = 1 + upto(cache.capacity - 2);
    cache.positions = any_of<Positions>();
    if (can.has("quant:int8")) cache.quant = any_of<Quant>();
    if (cache.quant != Quant::none) cache.scales = any_of<Scales>();
  }

  std::mt19937 random_;
};

/// The first element that is outside its bound, in words; empty if none is.
std::string wrong(Output output, const Tensor& got, const Shape& shape,
                  const std::vector<double>& want, const std::vector<double>& bound) {
  if (got.shape != shape) return fmt::format("{}: shape {}", name(output), to_string(got.shape));
  const std::vector<double> values = got.to_doubles();
  for (size_t k = 0; k < values.size(); ++k) {
    if (std::isinf(bound[k])) continue;
    const bool good = std::isfinite(want[k]) ? std::abs(values[k] - want[k]) <= bound[k]
                      : std::isnan(want[k])  ? std::isnan(values[k])
                                             : values[k] == want[k];
    if (!good)
      return fmt::format("{}: element {}: {} instead of {} ± {}", name(output), k, values[k],
                         want[k], bound[k]);
  }
  return {};
}

/// What is wrong with a step's output; empty if nothing.
std::string wrong(const StepOutput& got, const StepAnswer& want) {
  if (!want.lengths.empty() && got.lengths != want.lengths)
    return fmt::format("lengths {} instead of {}", to_string(got.lengths), to_string(want.lengths));
  if (got.positions != want.positions)
    return fmt::format("positions {} instead of {}", to_string(got.positions),
                       to_string(want.positions));
  if (!want.lengths.empty() && got.capacity != want.capacity) return "capacity";
  if (want.shape.empty()) return {};
  for (const MoreAnswer& more : want.more) {
    if (!got.more.contains(more.output)) return fmt::format("no {}", name(more.output));
    std::string words =
        wrong(more.output, got.more.at(more.output), more.shape, more.values, more.bound);
    if (!words.empty()) return words;
  }
  return wrong(Output::out, got.out, want.shape, want.out, want.bound);
}

class CpuTargets : public ::testing::TestWithParam<std::string> {};

TEST_P(CpuTargets, StayWithinTheOraclesBound) {
  const auto target = open_target(GetParam());
  const Capabilities& can = target->info().capabilities;
  RandomCases cases(20240229);
  for (int n = 0; n < 2000 / testing::each_nth; ++n) {
    const Case c = cases.next(can);
    const Inputs inputs = make_inputs(c);
    const Answer want = answer(c, inputs, can.precision_of(c.problem.dtype));
    const Outcome got = target->run(c, inputs);
    ASSERT_EQ(got.status, Status::ok) << got.text << "\n" << one_line(c);
    ASSERT_EQ(got.steps.size(), want.steps.size()) << one_line(c);
    for (size_t s = 0; s < want.steps.size(); ++s)
      ASSERT_EQ(wrong(got.steps[s], want.steps[s]), "") << one_line(c) << "\nstep " << s;
  }
}

TEST_P(CpuTargets, DeclineWhatTheyDoNotClaim) {
  const auto target = open_target(GetParam());
  Case c;
  c.problem.dtype = GetParam() == "cpu:fp8" ? DType::f32 : DType::e4m3;
  const Outcome outcome = target->run(c, make_inputs(c));
  EXPECT_EQ(outcome.status, Status::declined);
  EXPECT_FALSE(outcome.text.empty());
}

std::vector<std::string> cpu_targets() {
  std::vector<std::string> names;
  for (const BuiltinTarget& target : builtin_targets())
    if (target.name.starts_with("cpu:") && !target.name.starts_with("cpu:linear"))
      names.emplace_back(target.name);
  return names;
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(4);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(, CpuTargets, ::testing::ValuesIn(cpu_targets()), test_name);

}  // namespace
}  // namespace attnfuzz
