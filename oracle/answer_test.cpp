#include "oracle/answer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "oracle/lower/cache_history.h"
#include "oracle/test_cases.h"

namespace attnfuzz {
namespace {

using namespace attnfuzz::testing;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Case f64(int64_t q_len, int64_t kv_len, int64_t dim) {
  Case c;
  c.problem.dtype = DType::f64;
  c.problem.q_len = q_len;
  c.problem.kv_len = kv_len;
  c.problem.head_dim = c.problem.head_dim_v = dim;
  return c;
}

Inputs inputs_of(const Case& c, const std::vector<double>& q, const std::vector<double>& k,
                 const std::vector<double>& v) {
  const Problem& p = c.problem;
  Inputs inputs;
  inputs.add("q", Tensor::from_doubles(
                      p.dtype, shape_in(p.layout, p.batch, p.num_heads, p.q_len, p.head_dim), q));
  inputs.add("k",
             Tensor::from_doubles(
                 p.dtype, shape_in(p.layout, p.batch, p.num_kv_heads, p.kv_len, p.head_dim), k));
  inputs.add("v",
             Tensor::from_doubles(
                 p.dtype, shape_in(p.layout, p.batch, p.num_kv_heads, p.kv_len, p.head_dim_v), v));
  return inputs;
}

std::vector<double> out_of(const Case& c, const Inputs& inputs) {
  return answer(c, inputs).steps.at(0).out;
}

// Scores ln 1, ln 2 and ln 5 weigh the values 1 : 2 : 5.
const std::vector<double> log_keys{0, std::numbers::ln2, std::log(5.0)};

TEST(Answer, WeighsValuesByTheExponentialOfTheScore) {
  const Case c = f64(1, 3, 1);
  EXPECT_NEAR(out_of(c, inputs_of(c, {1}, log_keys, {8, 80, 800}))[0], 521, 1e-12);
}

TEST(Answer, ScaleSoftcapAndBiasOrder) {
  Case c = f64(1, 2, 1);
  c.problem.scale = 2;
  const Inputs inputs = inputs_of(c, {1}, {0, std::numbers::ln2 / 2}, {0, 3});
  EXPECT_NEAR(out_of(c, inputs)[0], 2, 1e-14);

  c.problem.softcap = 0.5;
  const auto weighed = [](double s) { return 3 * std::exp(s) / (1 + std::exp(s)); };
  EXPECT_NEAR(out_of(c, inputs)[0], weighed(0.5 * std::tanh(2 * std::numbers::ln2)), 1e-14);

  c.problem.num_heads = c.problem.num_kv_heads = 1;
  c.problem.mask.rules = {use("alibi")};  // slope 1/256, key 1 at distance 1
  EXPECT_NEAR(out_of(c, inputs)[0], weighed(0.5 * std::tanh(2 * std::numbers::ln2) - 1.0 / 256),
              1e-14);
  c.problem.bias_order = BiasOrder::before_softcap;
  const double first = std::numbers::ln2 - 1.0 / 256;
  EXPECT_NEAR(out_of(c, inputs)[0], weighed(0.5 * std::tanh(first / 0.5)), 1e-14);
}

TEST(Answer, SinkTakesPartInTheDenominatorAlone) {
  Case c = f64(1, 3, 1);
  c.problem.sinks = true;
  Inputs inputs = inputs_of(c, {1}, log_keys, {8, 80, 800});
  inputs.add("sinks", Tensor::from_doubles(DType::f64, {1}, {std::log(8.0)}));
  EXPECT_NEAR(out_of(c, inputs)[0], 521.0 / 2, 1e-12);
}

TEST(Answer, MemoryKeysAreSeenByAll) {
  Case c = f64(1, 1, 1);
  c.problem.memory_kv = 2;
  c.problem.batch = 1;
  Inputs inputs = inputs_of(c, {1}, {log_keys[2]}, {800});
  inputs.add("mem_k", Tensor::from_doubles(DType::f64, {1, 2, 1}, {log_keys[0], log_keys[1]}));
  inputs.add("mem_v", Tensor::from_doubles(DType::f64, {1, 2, 1}, {8, 80}));
  EXPECT_NEAR(out_of(c, inputs)[0], 521, 1e-12);
  c.problem.mask.rules = {use("padding", {int64_t{1}, list({0})})};
  EXPECT_NEAR(out_of(c, inputs)[0], (8 + 160) / 3.0, 1e-12);
}

TEST(Answer, ThreadsDoNotChangeABit) {
  Case c;
  c.problem.batch = c.problem.num_kv_heads = 3;
  c.problem.num_heads = 6;
  c.problem.q_len = 70;
  c.problem.kv_len = 90;
  c.problem.head_dim = c.problem.head_dim_v = 40;
  c.problem.layout = Layout::bshd;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  const Inputs inputs = make_inputs(c);
  const StepAnswer one = answer(c, inputs, Precision{}).steps[0];
  for (const int threads : {2, 4, 7, 100}) {
    const StepAnswer many = answer(c, inputs, Precision{}, threads).steps[0];
    EXPECT_EQ(many.out, one.out) << threads;
    EXPECT_EQ(many.bound, one.bound) << threads;
  }
}

TEST(Answer, FullyMaskedRows) {
  Case c = f64(2, 2, 1);
  c.problem.mask.rules = {use("causal")};
  c.problem.mask.align = Align::bottom_right;
  c.problem.q_len = 3;  // query 0 sees nothing
  const Inputs inputs = inputs_of(c, {1, 1, 1}, {0, 0}, {1, 5});
  const auto first = [&](FullyMasked gives) {
    c.problem.fully_masked = gives;
    const StepAnswer step =
        answer(c, inputs, Precision{DType::f64, DType::f64, 1, {}, false}).steps[0];
    EXPECT_EQ(step.out[1], 1);
    return std::pair(step.out[0], step.bound[0]);
  };
  EXPECT_EQ(first(FullyMasked::zero), std::pair(0.0, 0.0));
  EXPECT_TRUE(std::isnan(first(FullyMasked::nan).first));
  EXPECT_EQ(first(FullyMasked::uniform).first, 3);
  EXPECT_LT(first(FullyMasked::uniform).second, 1e-12);
  EXPECT_EQ(first(FullyMasked::any).second, inf);
}

TEST(Answer, NoKeysAtAll) {
  Case c = f64(1, 0, 2);
  const Inputs inputs = inputs_of(c, {1, 1}, {}, {});
  EXPECT_EQ(out_of(c, inputs), (std::vector<double>{0, 0}));
  c.problem.fully_masked = FullyMasked::uniform;  // the mean of nothing
  EXPECT_TRUE(std::isnan(out_of(c, inputs)[0]));
}

TEST(Answer, HiddenKeysMayHoldAnything) {
  Case c = f64(1, 3, 1);
  c.problem.mask.rules = {use("padding", {int64_t{1}, list({1})})};
  EXPECT_EQ(out_of(c, inputs_of(c, {1}, {0, nan, inf}, {7, nan, inf}))[0], 7);
}

TEST(Answer, VisibleInfinitiesFollowTheArithmetic) {
  Case c = f64(1, 3, 2);
  const std::vector<double> k(6, 0.0);
  const auto with_v = [&](const std::vector<double>& v) {
    return answer(c, inputs_of(c, {1, 1}, k, v), Precision{}).steps[0];
  };
  EXPECT_EQ(with_v({1, 2, inf, 2, 1, 2}).out, (std::vector<double>{inf, 2}));
  EXPECT_EQ(with_v({-inf, 2, 1, 2, 1, 2}).out[0], -inf);
  EXPECT_TRUE(std::isnan(with_v({-inf, 2, inf, 2, 1, 2}).out[0]));
  EXPECT_TRUE(std::isnan(with_v({nan, 2, 1, 2, 1, 2}).out[0]));
  EXPECT_EQ(with_v({inf, 2, 1, 2, 1, 2}).bound[0], 0);
  // p = e^-1000 is 0 in every type that a target may use, and 0 · inf is no longer inf.
  const Inputs far = inputs_of(c, {1000, 1000}, {0, 0, -1, 0, 0, 0}, {1, 2, inf, 2, 1, 2});
  EXPECT_EQ(answer(c, far, Precision{}).steps[0].bound[0], inf);
}

TEST(Answer, UndefinedScoresGiveNan) {
  const Case c = f64(1, 2, 1);
  EXPECT_TRUE(std::isnan(out_of(c, inputs_of(c, {1}, {nan, 0}, {1, 2}))[0]));
  EXPECT_TRUE(std::isnan(out_of(c, inputs_of(c, {1}, {inf, 0}, {1, 2}))[0]));
  EXPECT_EQ(out_of(c, inputs_of(c, {1}, {-inf, 0}, {1, 2}))[0], 2);
}

TEST(Answer, OverflowOfNarrowTypesIsUnchecked) {
  const Case c = f64(1, 2, 1);
  const Inputs inputs = inputs_of(c, {300}, {300, 300}, {1, 2});  // q·k = 90000
  EXPECT_EQ(answer(c, inputs, Precision{DType::f16, DType::f16, 1, {}, false}).steps[0].bound[0],
            inf);
  EXPECT_LT(answer(c, inputs, Precision{DType::f32, DType::f32, 1, {}, false}).steps[0].bound[0],
            1);
}

/// The definition, one element after the other, in long double.
std::vector<double> by_definition(const Case& c, const Inputs& inputs) {
  const Problem& p = c.problem;
  const auto values = [&](const char* name) { return inputs.at(name).to_doubles(); };
  const std::vector<double> q = values("q"), k = values("k"), v = values("v");
  const std::vector<double> sinks = p.sinks ? values("sinks") : std::vector<double>();
  const std::vector<double> mem_k = p.memory_kv > 0 ? values("mem_k") : std::vector<double>();
  const std::vector<double> mem_v = p.memory_kv > 0 ? values("mem_v") : std::vector<double>();
  const DenseMask mask = dense_mask(p, c.data);
  const auto at = [&p](int64_t b, int64_t h, int64_t s, int64_t d, int64_t heads, int64_t len,
                       int64_t dim) {
    const int64_t row =
        p.layout == Layout::bhsd ? (b * heads + h) * len + s : (b * len + s) * heads + h;
    return static_cast<size_t>(row * dim + d);
  };
  std::vector<double> out(static_cast<size_t>(p.batch * p.num_heads * p.q_len * p.head_dim_v));
  for (int64_t b = 0; b < p.batch; ++b) {
    for (int64_t h = 0; h < p.num_heads; ++h) {
      for (int64_t i = 0; i < p.q_len; ++i) {
        const int64_t g = p.kv_head(h);
        const auto row = static_cast<size_t>(((b * p.num_heads + h) * p.q_len + i) * p.kv_len);
        std::vector<long double> weights;
        long double sum =
            p.sinks ? std::exp(static_cast<long double>(sinks[static_cast<size_t>(h)])) : 0;
        bool seen = false;
        for (int64_t j = 0; j < p.memory_kv + p.kv_len; ++j) {
          const bool memory = j < p.memory_kv;
          const int64_t key = j - p.memory_kv;
          const size_t m = row + static_cast<size_t>(std::max<int64_t>(key, 0));
          long double dot = 0;
          for (int64_t d = 0; d < p.head_dim; ++d) {
            const double kd =
                memory ? mem_k[static_cast<size_t>((g * p.memory_kv + j) * p.head_dim + d)]
                       : k[at(b, g, key, d, p.num_kv_heads, p.kv_len, p.head_dim)];
            dot +=
                static_cast<long double>(q[at(b, h, i, d, p.num_heads, p.q_len, p.head_dim)]) * kd;
          }
          long double score = dot * p.scale_value();
          const long double bias = memory || mask.bias.empty() ? 0 : mask.bias[m];
          if (p.bias_order == BiasOrder::before_softcap) score += bias;
          if (p.softcap > 0) score = p.softcap * std::tanh(score / p.softcap);
          if (p.bias_order == BiasOrder::after_softcap) score += bias;
          const bool visible = memory || mask.visible[m] != 0;
          weights.push_back(visible ? std::exp(score) : 0);
          sum += weights.back();
          seen |= visible;
        }
        const bool masked = !seen && !p.sinks;
        if (masked) {
          std::fill(weights.begin(), weights.end(), p.fully_masked == FullyMasked::uniform ? 1 : 0);
          sum = p.fully_masked == FullyMasked::uniform ? static_cast<long double>(p.kv_len)
                : p.fully_masked == FullyMasked::nan   ? 0
                                                       : 1;
        }
        for (int64_t d = 0; d < p.head_dim_v; ++d) {
          long double total = 0;
          for (int64_t j = 0; j < p.memory_kv + p.kv_len; ++j) {
            const double vd =
                j < p.memory_kv
                    ? mem_v[static_cast<size_t>((g * p.memory_kv + j) * p.head_dim_v + d)]
                    : v[at(b, g, j - p.memory_kv, d, p.num_kv_heads, p.kv_len, p.head_dim_v)];
            total += weights[static_cast<size_t>(j)] * vd;
          }
          out[at(b, h, i, d, p.num_heads, p.q_len, p.head_dim_v)] =
              static_cast<double>(total / sum);
        }
      }
    }
  }
  return out;
}

TEST(AnswerProperty, FollowsTheDefinition) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_case();
    c.problem.dtype = flip() ? DType::f64 : DType::bf16;
    const Inputs inputs = make_inputs(c);
    const StepAnswer got =
        answer(c, inputs, Precision{DType::f64, DType::f64, 4, {}, false}).steps[0];
    const std::vector<double> want = by_definition(c, inputs);
    RC_ASSERT(got.out.size() == want.size());
    for (size_t n = 0; n < want.size(); ++n) {
      if (std::isnan(want[n])) {
        RC_ASSERT(std::isnan(got.out[n]));
      } else {
        RC_ASSERT(std::abs(got.out[n] - want[n]) <= got.bound[n]);
      }
    }
    RC_ASSERT(answer(c, inputs).steps[0].shape == got.shape);
  }));
}

TEST(Answer, LargeCasesFollowTheDefinitionToo) {  // by way of Eigen's products
  for (const int64_t len : {65, 130}) {
    Case c = f64(len, len + 7, 40);
    c.problem.head_dim_v = 33;
    c.problem.mask.rules = {use("window", {int64_t{30}, int64_t{2}}), use("alibi")};
    const Inputs inputs = make_inputs(c);
    const StepAnswer got =
        answer(c, inputs, Precision{DType::f64, DType::f64, 4, {}, false}).steps[0];
    const std::vector<double> want = by_definition(c, inputs);
    for (size_t n = 0; n < want.size(); ++n) {
      ASSERT_LE(std::abs(got.out[n] - want[n]), got.bound[n]);
      ASSERT_LE(got.bound[n], 1e-10);
    }
  }
}

TEST(AnswerProperty, BoundsDoNotChangeTheAnswer) {
  EXPECT_TRUE(rc::check([] {
    const Case c = arbitrary_case();
    const Inputs inputs = make_inputs(c);
    const std::vector<double> with = answer(c, inputs, Precision{}).steps[0].out;
    const std::vector<double> without = out_of(c, inputs);
    for (size_t n = 0; n < with.size(); ++n) {
      RC_ASSERT(with[n] == without[n] || (std::isnan(with[n]) && std::isnan(without[n])));
    }
  }));
}

}  // namespace
}  // namespace attnfuzz
