#include "oracle/inputs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "oracle/linear/kinds.h"
#include "oracle/mask.h"
#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

/// 2 rows, 4 query heads on 2 KV heads, 3 queries, 5 keys, all sizes distinct.
Case small_case() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = 3;
  c.problem.kv_len = 5;
  c.problem.head_dim = 7;
  c.problem.head_dim_v = 6;
  c.data.seed = 11;
  return c;
}

std::set<std::string> names_in(const Inputs& inputs) {
  std::set<std::string> names;
  for (const auto& [label, tensor] : inputs.all()) names.insert(label);
  return names;
}

/// The number at (b, h, s, d) of a [batch, heads, len, dim] tensor in a layout.
double at(const Tensor& tensor, Layout layout, int64_t b, int64_t h, int64_t s, int64_t d) {
  const Shape& shape = tensor.shape;
  const int64_t middle = layout == Layout::bhsd ? h : s, inner = layout == Layout::bhsd ? s : h;
  return tensor.to_doubles()[static_cast<size_t>(
      ((b * shape[1] + middle) * shape[2] + inner) * shape[3] + d)];
}

bool same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

TEST(Inputs, NamesAndShapes) {
  Case c = small_case();
  Inputs inputs = make_inputs(c);
  EXPECT_EQ(names_in(inputs), (std::set<std::string>{"q", "k", "v"}));
  EXPECT_EQ(inputs.at("q").shape, (Shape{2, 4, 3, 7}));
  EXPECT_EQ(inputs.at("k").shape, (Shape{2, 2, 5, 7}));
  EXPECT_EQ(inputs.at("v").shape, (Shape{2, 2, 5, 6}));
  EXPECT_EQ(inputs.find("mask"), nullptr);
  EXPECT_THROW(inputs.at("mask"), std::out_of_range);

  c.problem.layout = Layout::bshd;
  c.problem.sinks = true;
  c.problem.memory_kv = 8;
  c.problem.mask.rules = {{find_rule("causal"), {}}, {find_rule("alibi"), {}}};
  inputs = make_inputs(c);
  EXPECT_EQ(names_in(inputs),
            (std::set<std::string>{"q", "k", "v", "mask", "bias", "sinks", "mem_k", "mem_v"}));
  EXPECT_EQ(inputs.at("v").shape, (Shape{2, 5, 2, 6}));
  EXPECT_EQ(inputs.at("mask").shape, (Shape{2, 4, 3, 5}));
  EXPECT_EQ(inputs.at("bias").shape, (Shape{2, 4, 3, 5}));
  EXPECT_EQ(inputs.at("sinks").shape, (Shape{4}));
  EXPECT_EQ(inputs.at("mem_k").shape, (Shape{2, 8, 7}));
  EXPECT_EQ(inputs.at("mem_v").shape, (Shape{2, 8, 6}));
}

TEST(Inputs, StepsThatBringTokens) {
  Case c = small_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache.emplace();
  c.steps = {{StepOp::prefill, 3, {}, {}, 0},
             {StepOp::reorder, 0, {}, {1, 0}, 0},
             {StepOp::decode, 1, {}, {}, 0}};
  const Inputs inputs = make_inputs(c);
  EXPECT_EQ(names_in(inputs), (std::set<std::string>{"q.0", "k.0", "v.0", "q.2", "k.2", "v.2"}));
  EXPECT_EQ(inputs.at("k.0").shape, (Shape{2, 2, 3, 7}));
  EXPECT_EQ(inputs.at("k.2").shape, (Shape{2, 2, 1, 7}));
  EXPECT_NE(at(inputs.at("k.0"), Layout::bhsd, 0, 0, 0, 0),
            at(inputs.at("k.2"), Layout::bhsd, 0, 0, 0, 0));
}

TEST(Inputs, EveryElementIsItsCoordinates) {
  EXPECT_TRUE(rc::check("make_inputs() and element() agree", [] {
    Case c = testing::random_case(false);
    c.data.nonfinite = testing::between(0, 1) == 1 ? NonFinite::inf_value : NonFinite::none;
    const Problem& p = c.problem;
    const Inputs inputs = make_inputs(c);
    struct Part {
      Role role;
      int64_t heads, len, dim;
    };
    for (const Part& part : {Part{Role::q, p.num_heads, p.q_len, p.head_dim},
                             Part{Role::k, p.num_kv_heads, p.kv_len, p.head_dim},
                             Part{Role::v, p.num_kv_heads, p.kv_len, p.head_dim_v}}) {
      const Tensor& tensor = inputs.at(name(part.role));
      RC_ASSERT(tensor.shape == shape_in(p.layout, p.batch, part.heads, part.len, part.dim));
      if (tensor.size() == 0) continue;
      const int64_t b = testing::between(0, p.batch - 1), h = testing::between(0, part.heads - 1);
      const int64_t s = testing::between(0, part.len - 1), d = testing::between(0, part.dim - 1);
      double want = element(c.data, part.role, 0, b, h, s, d, part.dim, p.dtype);
      if (part.role == Role::k && traits(p.kind).beta)
        want /= std::sqrt(static_cast<double>(part.dim));
      RC_ASSERT(same(at(tensor, p.layout, b, h, s, d), round_to(p.dtype, want)));
    }
  }));
}

TEST(Inputs, OfAState) {
  Case c = small_case();
  c.problem.q_len = c.problem.kv_len = 200;
  c.problem.kind = ProblemKind::gated_delta;
  c.problem.layout = Layout::bshd;
  c.data.dist = Distribution::constant;
  Inputs inputs = make_inputs(c);
  EXPECT_EQ(names_in(inputs), (std::set<std::string>{"q", "k", "v", "gate", "beta"}));
  EXPECT_EQ(inputs.at("gate").shape, (Shape{2, 200, 2}));
  EXPECT_EQ(inputs.at("beta").shape, (Shape{2, 200, 2}));
  EXPECT_EQ(at(inputs.at("k"), Layout::bshd, 0, 0, 0, 0), static_cast<float>(0.5 / std::sqrt(7.0)));
  double least = 0, most = 0;
  for (const double x : inputs.at("gate").to_doubles()) {
    EXPECT_LE(x, 0);
    least = std::min(least, x);
  }
  EXPECT_LT(least, -1);  // one in 16 is larger
  EXPECT_GE(least, -16);
  for (const double x : inputs.at("beta").to_doubles()) {
    EXPECT_GE(x, 0);
    most = std::max(most, x);
  }
  EXPECT_LE(most, 1);
  EXPECT_GT(most, 0.9);
  c.problem.kind = ProblemKind::linear;
  EXPECT_EQ(make_inputs(c).at("gate").shape, (Shape{2, 200, 2, 7}));
}

TEST(Inputs, Distributions) {
  Data data;
  const auto at_d = [&](Distribution dist, Role role, int64_t d, DType dtype = DType::f32) {
    data.dist = dist;
    return element(data, role, 0, 1, 2, 9, d, 7, dtype);
  };
  const double normal = at_d(Distribution::normal, Role::k, 3);
  EXPECT_EQ(at_d(Distribution::large, Role::k, 3), 8 * normal);
  EXPECT_EQ(at_d(Distribution::large, Role::v, 3), 64 * at_d(Distribution::normal, Role::v, 3));
  EXPECT_EQ(at_d(Distribution::huge, Role::k, 3), 64 * normal);
  EXPECT_EQ(at_d(Distribution::huge, Role::v, 3), at_d(Distribution::normal, Role::v, 3));
  EXPECT_EQ(at_d(Distribution::constant, Role::q, 3), 0.5);
  for (int64_t d = 0; d < 7; ++d) EXPECT_EQ(at_d(Distribution::one_hot, Role::k, d), d == 9 % 7);
  EXPECT_EQ(at_d(Distribution::tiny, Role::k, 3), std::ldexp(normal, -128));
  EXPECT_EQ(at_d(Distribution::tiny, Role::k, 3, DType::f64), std::ldexp(normal, -128));
  EXPECT_EQ(at_d(Distribution::tiny, Role::k, 3, DType::f16), std::ldexp(normal, -16));
  const double bias = at_d(Distribution::normal, Role::bias, 3);
  EXPECT_EQ(at_d(Distribution::constant, Role::bias, 3), bias);
  EXPECT_EQ(at_d(Distribution::tiny, Role::bias, 3), bias);
}

TEST(Inputs, MaskElementsArePercentages) {
  int below[101] = {};
  for (int64_t j = 0; j < 10000; ++j) {
    const double x = element({5, {}, {}}, Role::mask, 0, 0, 0, 0, j, 0);
    ASSERT_EQ(x, std::trunc(x));
    ASSERT_TRUE(x >= 0 && x <= 99);
    for (int keep = 0; keep <= 100; ++keep) below[keep] += x < keep;
  }
  EXPECT_NEAR(below[30], 3000, 250);
  EXPECT_EQ(below[0], 0);
  EXPECT_EQ(below[100], 10000);
}

TEST(Inputs, PaddingHoldsNanWhereTheRuleHides) {
  Case c = small_case();
  c.data.nonfinite = NonFinite::nan_padding;
  for (const int64_t side : {0, 1}) {
    c.problem.mask.rules = {{find_rule("padding"), {side, std::vector<int64_t>{2, 5}}}};
    const Inputs inputs = make_inputs(c);
    for (const char* label : {"q", "k", "v"}) {
      const Tensor& tensor = inputs.at(label);
      for (int64_t b = 0; b < 2; ++b) {
        for (int64_t s = 0; s < tensor.shape[2]; ++s) {
          const bool hidden = b == 0 && (side == 0 ? s < 3 : s >= 2) && *label != 'q';
          EXPECT_EQ(std::isnan(at(tensor, Layout::bhsd, b, 1, s, 4)), hidden) << label << b << s;
        }
      }
    }
  }
}

TEST(Inputs, PaddingHoldsInfBeyondRaggedSteps) {
  Case c = small_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.data.nonfinite = NonFinite::inf_padding;
  c.cache.emplace();
  c.steps = {{StepOp::prefill, 3, {1, 3}, {}, 0}};
  const Tensor v = make_inputs(c).at("v.0");
  for (int64_t s = 0; s < 3; ++s) {
    EXPECT_EQ(std::isinf(at(v, Layout::bhsd, 0, 0, s, 2)), s >= 1);
    EXPECT_FALSE(std::isinf(at(v, Layout::bhsd, 1, 0, s, 2)));
  }
}

TEST(Inputs, OneBiasIn4HidesItsKeyAndTheMaskDoesNot) {
  Case c = small_case();
  c.problem.kv_len = 200;
  c.problem.mask.rules = {{find_rule("bias"), {int64_t{3}}}};
  c.data.nonfinite = NonFinite::inf_bias;
  const Inputs inputs = make_inputs(c);
  const std::vector<double> bias = inputs.at("bias").to_doubles();
  const std::vector<double> mask = inputs.at("mask").to_doubles();
  const DenseMask dense = dense_mask(c.problem, c.data);
  int64_t infinite = 0;
  for (size_t n = 0; n < bias.size(); ++n) {
    infinite += bias[n] == -std::numeric_limits<double>::infinity();
    EXPECT_EQ(mask[n], 1);
    EXPECT_EQ(dense.visible[n] == 0, std::isinf(bias[n]));
  }
  const double expected = static_cast<double>(bias.size()) / 4;
  EXPECT_NEAR(static_cast<double>(infinite), expected, 5 * std::sqrt(expected));
}

TEST(Inputs, AFarKeysAlibiIsTheLowestNumberOfTheType) {
  Case c = small_case();
  c.problem.kv_len = 2000;
  c.problem.dtype = DType::e4m3;
  c.problem.mask.rules = {{find_rule("causal"), {}}, {find_rule("alibi"), {}}};
  c.problem.mask.align = Align::bottom_right;
  const Inputs inputs = make_inputs(c);
  const std::vector<double> bias = inputs.at("bias").to_doubles();
  EXPECT_EQ(bias[0], -448);  // a slope of 1/4, and a distance of 1997
  for (const double x : bias) ASSERT_TRUE(x <= 0 && x >= -448);
  const DenseMask dense = dense_mask(c.problem, c.data);
  EXPECT_EQ(inputs.at("mask").to_doubles(),
            std::vector<double>(dense.visible.begin(), dense.visible.end()));
}

TEST(Inputs, OneValueIn64IsInfinite) {
  Case c = small_case();
  c.problem.kv_len = 600;
  c.data.nonfinite = NonFinite::inf_value;
  const Inputs inputs = make_inputs(c);
  const auto infinite = [&](const char* label, double sign) {
    int64_t count = 0;
    for (const double x : inputs.at(label).to_doubles()) count += std::isinf(x) && x * sign > 0;
    return count;
  };
  const double expected = 2 * 2 * 600 * 6 / 128.0;
  EXPECT_NEAR(static_cast<double>(infinite("v", 1)), expected, 5 * std::sqrt(expected));
  EXPECT_NEAR(static_cast<double>(infinite("v", -1)), expected, 5 * std::sqrt(expected));
  EXPECT_EQ(infinite("k", 1) + infinite("k", -1), 0);
}

TEST(Tensor, FromDoublesNeedsAsManyAsItsShape) {
  const Tensor tensor = Tensor::from_doubles(DType::bf16, {2, 2}, {1, 2, 3, 4.5});
  EXPECT_EQ(tensor.to_doubles(), (std::vector<double>{1, 2, 3, 4.5}));
  EXPECT_EQ(tensor.bytes.size(), 8u);
  EXPECT_EQ(to_string(tensor.shape), "[2, 2]");
  EXPECT_THROW(Tensor::from_doubles(DType::f32, {3}, {1, 2}), std::invalid_argument);
}

}  // namespace
}  // namespace attnfuzz
