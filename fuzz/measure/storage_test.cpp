#include "fuzz/measure/storage.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fuzz/testing.h"

namespace attnfuzz::measure {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"head_dim": [1, 8], "head_dim_v": [1, 8], "q_len": [1, 8], "kv_len": [1, 8],
            "steps": [1, 3]},
  "features": ["dtype:f32", "layout:bhsd", "rule:causal", "cache:dynamic", "step:prefill",
               "quant:int8", "scales:token", "head_dim_v"]
})";

Case quantised() {
  Case c;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.head_dim = 4;
  c.problem.head_dim_v = 6;
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  c.cache = Cache{};
  c.cache->quant = Quant::int8;
  c.steps.resize(1);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 3;
  return c;
}

/// Gives each query its own token's value as an int8 cache holds it with write(scale) and
/// read(scale): right where all tokens have the same one.
FunctionTarget holding(double (*write)(double scale), double (*read)(double scale)) {
  return FunctionTarget(capabilities, [write, read](const Case&, const Inputs& inputs) {
    const Tensor& v = inputs.at("v.0");
    std::vector<double> x = v.to_doubles();
    const auto dim = static_cast<size_t>(v.shape[3]);
    for (size_t first = 0; first < x.size(); first += dim) {
      double most = 0;
      for (size_t d = 0; d < dim; ++d) most = std::max(most, std::abs(x[first + d]));
      const double scale = most / 127;
      for (size_t d = 0; d < dim; ++d)
        x[first + d] =
            std::clamp(std::nearbyint(x[first + d] / write(scale)), -127.0, 127.0) * read(scale);
    }
    return Outcome{Status::ok, "", {{Tensor::from_doubles(v.dtype, v.shape, x)}}};
  });
}

std::vector<Statement> measured(FunctionTarget target) {
  Budget budget(200, 60);
  StorageFacts facts;
  facts.measure(target, quantised(), budget);
  return facts.statements();
}

double same(double scale) {
  return scale;
}
double at_least_one(double scale) {
  return std::max(scale, 1.0);
}
double one(double) {
  return 1;
}

TEST(Storage, SaysNothingOfWhatIsRight) {
  EXPECT_TRUE(measured(holding(same, same)).empty());
}

TEST(Storage, TellsAScaleThatIsRaised) {
  const std::vector<Statement> said = measured(holding(at_least_one, at_least_one));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].words.find("the scale is raised to 1 at least"), std::string::npos);
}

TEST(Storage, TellsAScaleThatIsNotAppliedInReading) {
  const std::vector<Statement> said = measured(holding(same, one));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].words.find("read with a scale of 1"), std::string::npos);
}

}  // namespace
}  // namespace attnfuzz::measure
