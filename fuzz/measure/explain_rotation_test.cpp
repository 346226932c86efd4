#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "fuzz/measure/measure.h"
#include "fuzz/testing.h"
#include "oracle/answer.h"
#include "oracle/test_cases.h"

namespace attnfuzz::measure {
namespace {

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 20],
            "kv_len": [1, 20], "head_dim": [2, 16, 2], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "head_dim_v", "rule:causal", "rope:half",
               "rope_part:first"],
  "equal": [["q_len", "kv_len"]]
})";

Case rotated(int64_t head_dim) {
  Case c;
  c.problem.batch = 1;
  c.problem.num_heads = 2;
  c.problem.num_kv_heads = 1;
  c.problem.q_len = c.problem.kv_len = 9;
  c.problem.head_dim = head_dim;
  c.problem.head_dim_v = 5;
  c.problem.rope = Rope::half;
  c.problem.mask.rules = {attnfuzz::testing::use("causal")};
  return c;
}

TEST(Rotation, TellsAPartOfTheHeadOverSeveralSizes) {
  attnfuzz::testing::FunctionTarget target(capabilities, [](Case c, const Inputs& inputs) {
    c.problem.rope_dim = c.problem.head_dim / 2;
    const Answer answered = answer(c, inputs, Precision{});
    const StepAnswer& step = answered.steps[0];
    return Outcome{
        Status::ok, "", {{Tensor::from_doubles(c.problem.dtype, step.shape, step.out), {}}}};
  });
  Budget budget(2000, 60);
  const Measurement seen = measure(target, std::array{rotated(8), rotated(16)}, budget);
  ASSERT_FALSE(seen.statements.empty());
  EXPECT_NE(
      seen.statements[0].words.find("Rope rotates the first 4 of 8 elements only, as if these "
                                    "were the whole head (head_dim / 2)"),
      std::string::npos)
      << seen.statements[0].words;
}

/// Pairs and frequencies of the whole head: q and k are turned before they come to a case without
/// rope.
TEST(Rotation, TellsTheHeadsSizeInThePlaceOfTheParts) {
  attnfuzz::testing::FunctionTarget target(capabilities, [](Case c, Inputs inputs) {
    const int64_t dim = c.problem.head_dim, part = c.problem.turned_dim();
    for (const char* name : {"q", "k"}) {
      std::vector<double> x = inputs.at(name).to_doubles();
      const auto rows = static_cast<int64_t>(x.size()) / dim;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t n = 0; n < part / 2; ++n) {
          const auto a = static_cast<size_t>(row * dim + n), b = a + static_cast<size_t>(dim / 2);
          const double angle = static_cast<double>(row % c.problem.q_len) *
                               std::pow(c.problem.rope_base,
                                        -2.0 * static_cast<double>(n) / static_cast<double>(dim));
          const double u = x[a], w = x[b];
          x[a] = u * std::cos(angle) - w * std::sin(angle);
          x[b] = u * std::sin(angle) + w * std::cos(angle);
        }
      inputs.replace(name, Tensor::from_doubles(DType::f32, inputs.at(name).shape, x));
    }
    c.problem.rope = Rope::none;
    c.problem.rope_dim = 0;
    const Answer answered = answer(c, inputs, Precision{});
    const StepAnswer& step = answered.steps[0];
    return Outcome{
        Status::ok, "", {{Tensor::from_doubles(c.problem.dtype, step.shape, step.out), {}}}};
  });
  std::array cases{rotated(8), rotated(16)};
  cases[0].problem.rope_dim = 4;
  cases[1].problem.rope_dim = 12;
  Budget budget(2000, 60);
  const Measurement seen = measure(target, cases, budget);
  ASSERT_FALSE(seen.statements.empty());
  EXPECT_NE(seen.statements[0].words.find("Rope turns rope_dim / 2 pairs of elements, n with n + "
                                          "head_dim / 2, pair n by position · base^(−2n / "
                                          "head_dim)"),
            std::string::npos)
      << seen.statements[0].words;
}

}  // namespace
}  // namespace attnfuzz::measure
