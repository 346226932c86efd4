#include "oracle/backward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "oracle/test_cases.h"

namespace attnfuzz {
namespace {

constexpr Precision exact{DType::f64, DType::f64, 4, {}, false};
constexpr Precision single{DType::f32, DType::f32, 2, {}, false};

/// Asks for all that the case has.
void ask(Case& c) {
  Problem& p = c.problem;
  p.outputs = {Output::out, Output::lse, Output::dq, Output::dk, Output::dv};
  if (p.mask.adds_bias()) p.outputs.push_back(Output::dbias);
  if (p.sinks) p.outputs.push_back(Output::dsinks);
  if (p.memory_kv > 0) p.outputs.insert(p.outputs.end(), {Output::dmem_k, Output::dmem_v});
}

const MoreAnswer& of(const Answer& answer, Output output) {
  for (const MoreAnswer& more : answer.steps[0].more)
    if (more.output == output) return more;
  throw std::out_of_range("not asked for");
}

/// Any case with all its gradients, in f64, where rows that see nothing are zeros.
Case arbitrary_backward_case() {
  Case c = testing::arbitrary_case(12);
  c.problem.dtype = DType::f64;
  c.problem.fully_masked = FullyMasked::zero;
  c.data.dist = Distribution::normal;
  if (testing::flip()) c.problem.dropout_keep = testing::arbitrary(20, 90);
  ask(c);
  return c;
}

/// Σ grad_out · out.
double loss(const Case& c, const Inputs& inputs) {
  Case forward = c;
  forward.problem.outputs = {Output::out};
  const std::vector<double> out = answer(forward, inputs).steps[0].out;
  const std::vector<double> grad_out = inputs.at("grad_out").to_doubles();
  double sum = 0;
  for (size_t n = 0; n < out.size(); ++n) sum += out[n] * grad_out[n];
  return sum;
}

Inputs with_changed(const Inputs& inputs, std::string_view name, size_t at, double by) {
  Inputs changed;
  for (const auto& [each, tensor] : inputs.all()) {
    Tensor copy = tensor;
    if (each == name) copy.as<double>()[at] += by;
    changed.add(each, std::move(copy));
  }
  return changed;
}

TEST(Backward, IsTheSlopeOfTheForwardPass) {
  constexpr std::pair<Output, std::string_view> inputs_of[] = {
      {Output::dq, "q"},         {Output::dk, "k"},         {Output::dv, "v"},
      {Output::dsinks, "sinks"}, {Output::dmem_k, "mem_k"}, {Output::dmem_v, "mem_v"}};
  EXPECT_TRUE(rc::check([&] {
    const Case c = arbitrary_backward_case();
    const Inputs inputs = make_inputs(c);
    const Answer right = answer(c, inputs, exact);
    for (const auto& [output, name] : inputs_of) {
      if (!c.problem.asks(output)) continue;
      const MoreAnswer& gradient = of(right, output);
      RC_ASSERT(gradient.shape == inputs.at(name).shape);
      if (gradient.values.empty()) continue;
      const auto at = static_cast<size_t>(
          testing::arbitrary(0, static_cast<int64_t>(gradient.values.size()) - 1));
      constexpr double step = 1e-5;
      const double slope = (loss(c, with_changed(inputs, name, at, step)) -
                            loss(c, with_changed(inputs, name, at, -step))) /
                           (2 * step);
      RC_LOG() << one_line(c) << " " << name << " " << at << "\n";
      RC_ASSERT(std::abs(slope - gradient.values[at]) < 1e-6 * (1 + std::abs(slope)));
    }
  }));
}

TEST(Backward, HiddenKeysGetNothingWhateverTheyHold) {
  Case c;
  Problem& p = c.problem;
  p.batch = 2;
  p.q_len = 4;
  p.kv_len = 5;
  p.head_dim = 3;
  p.head_dim_v = 2;
  p.mask.rules = {testing::use("padding", {int64_t{1}, testing::list({2, 5})})};
  c.data.nonfinite = NonFinite::nan_padding;
  ask(c);
  const Answer right = answer(c, make_inputs(c), single);
  for (const Output output : {Output::dq, Output::dk, Output::dv})
    for (size_t n = 0; n < of(right, output).values.size(); ++n) {
      EXPECT_TRUE(std::isfinite(of(right, output).values[n]));
      EXPECT_TRUE(std::isfinite(of(right, output).bound[n]));
    }
  // Row 0 has two real keys: the others' gradients are zero.
  for (size_t n = 2 * 3; n < 5 * 3; ++n) EXPECT_EQ(of(right, Output::dk).values[n], 0);
  for (size_t n = 2 * 2; n < 5 * 2; ++n) EXPECT_EQ(of(right, Output::dv).values[n], 0);
}

TEST(Backward, RowsWithoutKeysAreUncheckedUnlessZero) {
  Case c;
  c.problem.q_len = 3;
  c.problem.kv_len = 2;
  c.problem.mask.align = Align::bottom_right;  // query 0 stands before the first key
  c.problem.mask.rules = {testing::use("causal")};
  ask(c);
  for (const FullyMasked gives : {FullyMasked::zero, FullyMasked::nan}) {
    c.problem.fully_masked = gives;
    const Answer right = answer(c, make_inputs(c), single);
    const bool checked = gives == FullyMasked::zero;
    EXPECT_EQ(std::isfinite(of(right, Output::dq).bound[0]), checked);
    EXPECT_TRUE(std::isfinite(of(right, Output::dq).bound[1]));
    EXPECT_EQ(std::isfinite(of(right, Output::dk).bound[0]), checked);
    EXPECT_TRUE(std::isinf(of(right, Output::lse).bound[0]));
    EXPECT_TRUE(std::isfinite(of(right, Output::lse).bound[1]));
    EXPECT_TRUE(!checked || of(right, Output::dq).values[0] == 0);
  }
}

TEST(Backward, OfAlibiIsThatOfTheDenseBias) {
  Case c;
  c.problem.q_len = c.problem.kv_len = 4;
  c.problem.head_dim_v = 3;
  c.problem.mask.rules = {testing::use("causal"), testing::use("alibi")};
  ask(c);
  const MoreAnswer dbias = of(answer(c, make_inputs(c), single), Output::dbias);
  EXPECT_EQ(dbias.shape, (Shape{1, 1, 4, 4}));
  for (size_t i = 0; i < 4; ++i) {
    double sum = 0;  // softmax does not change when all of a row moves
    for (size_t j = 0; j < 4; ++j) {
      sum += dbias.values[i * 4 + j];
      EXPECT_EQ(dbias.values[i * 4 + j] != 0, i > 0 && j <= i);
    }
    EXPECT_NEAR(sum, 0, 1e-15);
  }
}

TEST(Lse, IsTheLogarithmOfTheDenominator) {
  Case c;
  c.problem.q_len = 1;
  c.problem.kv_len = 3;
  c.problem.sinks = true;
  c.problem.memory_kv = 1;
  c.problem.scale = 0.0;
  c.problem.outputs = {Output::out, Output::lse};
  const Inputs inputs = make_inputs(c);
  const double sink = inputs.at("sinks").to_doubles()[0];
  const MoreAnswer lse = of(answer(c, inputs, single), Output::lse);
  EXPECT_EQ(lse.shape, (Shape{1, 1, 1}));
  EXPECT_NEAR(lse.values[0], std::log(4 + std::exp(sink)), 1e-14);
  EXPECT_LT(lse.bound[0], 1e-5);
  EXPECT_GT(lse.bound[0], 0);
}

/// The gradients of one head without a mask, in double but for the factors of its matrix products:
/// each is off by 2^-11 of itself, up or down (TF32).
struct RoundedFactors {
  const Problem& p;
  std::mt19937 random{1};

  double rounded(double x) { return x * (1 + ((random() & 1) != 0 ? 0x1p-11 : -0x1p-11)); }
  /// Σ over n < count of factors x[n · step_x] y[n · step_y].
  double product(const double* x, int64_t step_x, const double* y, int64_t step_y, int64_t count) {
    double sum = 0;
    for (int64_t n = 0; n < count; ++n) sum += rounded(x[n * step_x]) * rounded(y[n * step_y]);
    return sum;
  }

  std::map<Output, std::vector<double>> run(const Inputs& inputs) {
    const std::vector<double> q = inputs.at("q").to_doubles(), k = inputs.at("k").to_doubles(),
                              v = inputs.at("v").to_doubles(),
                              g = inputs.at("grad_out").to_doubles();
    const int64_t rows = p.q_len, keys = p.kv_len, dim = p.head_dim, dim_v = p.head_dim_v;
    std::vector<double> weights, ds;
    for (int64_t i = 0; i < rows; ++i) {
      std::vector<double> weight, dp;
      double sum = 0, dot = 0;
      for (int64_t j = 0; j < keys; ++j) {
        const double score = product(q.data() + i * dim, 1, k.data() + j * dim, 1, dim);
        weight.push_back(std::exp(score * p.scale_value()));
        dp.push_back(product(g.data() + i * dim_v, 1, v.data() + j * dim_v, 1, dim_v));
        sum += weight.back();
      }
      for (double& x : weight) x /= sum;
      for (int64_t d = 0; d < dim_v; ++d)
        dot += g.data()[i * dim_v + d] * product(weight.data(), 1, v.data() + d, dim_v, keys);
      for (size_t j = 0; j < weight.size(); ++j) ds.push_back(weight[j] * (dp[j] - dot));
      weights.insert(weights.end(), weight.begin(), weight.end());
    }
    std::map<Output, std::vector<double>> gradients;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t d = 0; d < dim; ++d)
        gradients[Output::dq].push_back(p.scale_value() *
                                        product(ds.data() + i * keys, 1, k.data() + d, dim, keys));
    for (int64_t j = 0; j < keys; ++j) {
      for (int64_t d = 0; d < dim; ++d)
        gradients[Output::dk].push_back(p.scale_value() *
                                        product(ds.data() + j, keys, q.data() + d, dim, rows));
      for (int64_t d = 0; d < dim_v; ++d)
        gradients[Output::dv].push_back(
            product(weights.data() + j, keys, g.data() + d, dim_v, rows));
    }
    return gradients;
  }
};

/// The worst |error| / bound of that kernel, with `factor_bits` declared.
double worst_of_rounded_factors(const Case& c, const Inputs& inputs, int factor_bits) {
  Precision precision = single;
  precision.factor_bits = factor_bits;
  const Answer right = answer(c, inputs, precision);
  double worst = 0;
  for (const auto& [output, values] : RoundedFactors{c.problem}.run(inputs)) {
    const MoreAnswer& gradient = of(right, output);
    for (size_t n = 0; n < values.size(); ++n)
      worst = std::max(worst, std::abs(values[n] - gradient.values[n]) / gradient.bound[n]);
  }
  return worst;
}

TEST(Backward, BoundsAllowRoundedFactors) {
  Case c;
  Problem& p = c.problem;
  p.kv_len = 48;
  p.head_dim = 1;
  p.head_dim_v = 2;
  ask(c);
  double worst = 0;
  for (c.data.seed = 0; c.data.seed < 200; ++c.data.seed) {
    p.q_len = 1 + static_cast<int64_t>(c.data.seed % 3);
    Inputs inputs = make_inputs(c);
    // One key with a large value of which g·v cancels: only the error of dP is large there.
    Tensor g = inputs.at("grad_out"), v = inputs.at("v");
    for (int64_t n = 0; n < 2 * p.q_len; n += 2) g.as<float>()[n + 1] = -g.as<float>()[n];
    v.as<float>()[0] = v.as<float>()[1] = 1000;
    inputs.replace("grad_out", std::move(g));
    inputs.replace("v", std::move(v));
    worst = std::max(worst, worst_of_rounded_factors(c, inputs, 11));
  }
  EXPECT_LT(worst, 1);
  EXPECT_GT(worst, 0.3);
  c.data.seed = 0;
  EXPECT_GT(worst_of_rounded_factors(c, make_inputs(c), 0), 1);  // they must be declared
}

}  // namespace
}  // namespace attnfuzz
