#include "fuzz/measure/rope_angles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "fuzz/testing.h"
#include "oracle/rope.h"
#include "oracle/rows.h"

namespace attnfuzz::measure {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 2], "num_heads": [1, 2], "num_kv_heads": [1, 2], "q_len": [1, 8],
            "kv_len": [1, 8], "head_dim": [2, 16, 2], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "rule:causal", "rope:half", "head_dim_v"]
})";

Case with_rope() {
  Case c;
  c.problem.q_len = c.problem.kv_len = 6;
  c.problem.head_dim = 8;
  c.problem.head_dim_v = 6;
  c.problem.rope = Rope::half;
  c.problem.rope_base = 10;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  return c;
}

/// Turns pair n by angle(problem, n) a token, then attends without rope.
FunctionTarget turning_by(const std::function<double(const Problem& p, int64_t pair)>& angle_of) {
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  return FunctionTarget(capabilities, [naive, angle_of](Case c, Inputs inputs) {
    const auto dim = c.problem.head_dim;
    for (const char* name : {"q", "k"}) {
      const Tensor tensor = inputs.at(name);
      std::vector<double> x = tensor.to_doubles();
      const int64_t len = tensor.shape[2];
      for (int64_t row = 0; row < static_cast<int64_t>(x.size()) / dim; ++row)
        for (int64_t n = 0; n < dim / 2; ++n) {
          const double angle = static_cast<double>(row % len) * angle_of(c.problem, n);
          double& a = x[static_cast<size_t>(row * dim + n)];
          double& b = x[static_cast<size_t>(row * dim + n + dim / 2)];
          const double first = a, second = b;
          a = first * std::cos(angle) - second * std::sin(angle);
          b = second * std::cos(angle) + first * std::sin(angle);
        }
      inputs.replace(name, Tensor::from_doubles(tensor.dtype, tensor.shape, x));
    }
    c.problem.rope = Rope::none;
    c.problem.rope_scaling = {};
    return naive->run(c, inputs);
  });
}

/// Turns pair n by the angle of pair other(n).
FunctionTarget turning(double (*other)(int64_t pair)) {
  return turning_by([other](const Problem& p, int64_t pair) {
    return std::pow(p.rope_base, -2 * other(pair) / static_cast<double>(p.head_dim));
  });
}

std::vector<Statement> measured(FunctionTarget target, const Case& c = with_rope()) {
  Budget budget(2000, 60);
  RopeAngles angles;
  angles.measure(target, c, budget);
  return angles.statements();
}

TEST(RopeAngles, TellHowMuchFartherAScaledPairTurns) {
  Case c = with_rope();
  c.problem.rope_base = 3;
  c.problem.rope_scaling.law = RopeLaw::linear;
  c.problem.rope_scaling.factor = 2;
  const auto right = [](const Problem& p, int64_t pair) { return rope_frequency(p, pair); };
  EXPECT_TRUE(measured(turning_by(right), c).empty());
  const std::vector<Statement> all = measured(turning_by([&](const Problem& p, int64_t pair) {
                                                return (pair == 1 ? 1.7 : 1) * right(p, pair);
                                              }),
                                              c);
  ASSERT_FALSE(all.empty());
  EXPECT_NE(all[0].words.find("element 1 turns 1.7 times as far as it should"), std::string::npos)
      << all[0].words;
}

TEST(RopeAngles, SayNothingWhereAllAreRight) {
  EXPECT_TRUE(measured(turning([](int64_t pair) { return static_cast<double>(pair); })).empty());
}

TEST(RopeAngles, TellWhichElementsAreTurnedAsOthers) {
  const std::vector<Statement> said = measured(
      turning([](int64_t pair) { return static_cast<double>(pair < 2 ? pair : pair - 2); }));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].words.find("elements 2, 3, 6, 7 are turned by other ones: element 2 is turned "
                               "as pair 0 would be, in the place of pair 2"),
            std::string::npos)
      << said[0].words;
}

}  // namespace
}  // namespace attnfuzz::measure
