#include "fuzz/measure/rope_angles.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fuzz/testing.h"
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

/// Turns pair n by the angle of pair other(n), then attends without rope.
FunctionTarget turning(double (*other)(int64_t pair)) {
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  return FunctionTarget(capabilities, [naive, other](Case c, Inputs inputs) {
    const auto dim = c.problem.head_dim;
    for (const char* name : {"q", "k"}) {
      const Tensor tensor = inputs.at(name);
      std::vector<double> x = tensor.to_doubles();
      const int64_t len = tensor.shape[2];
      for (int64_t row = 0; row < static_cast<int64_t>(x.size()) / dim; ++row)
        for (int64_t n = 0; n < dim / 2; ++n) {
          const double angle =
              static_cast<double>(row % len) *
              std::pow(c.problem.rope_base, -2 * other(n) / static_cast<double>(dim));
          double& a = x[static_cast<size_t>(row * dim + n)];
          double& b = x[static_cast<size_t>(row * dim + n + dim / 2)];
          const double first = a, second = b;
          a = first * std::cos(angle) - second * std::sin(angle);
          b = second * std::cos(angle) + first * std::sin(angle);
        }
      inputs.replace(name, Tensor::from_doubles(tensor.dtype, tensor.shape, x));
    }
    c.problem.rope = Rope::none;
    return naive->run(c, inputs);
  });
}

std::vector<Statement> measured(FunctionTarget target) {
  Budget budget(2000, 60);
  RopeAngles angles;
  angles.measure(target, with_rope(), budget);
  return angles.statements();
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
