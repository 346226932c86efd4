#include "fuzz/wire.h"

#include <gtest/gtest.h>

namespace attnfuzz {
namespace {

TEST(Wire, AnOutcomeArrivesWhole) {
  Outcome sent{Status::ok, "text", {}};
  StepOutput& step = sent.steps.emplace_back();
  step.out = Tensor::from_doubles(DType::bf16, {2, 1}, {1, 2});
  step.lengths = {3, 4};
  step.capacity = 7;
  step.more[Output::lse] = Tensor::from_doubles(DType::f32, {1}, {0.5});
  step.more[Output::dsinks] = Tensor::from_doubles(DType::bf16, {3}, {1, -1, 8});
  const std::string message = wire::pack(sent);
  ASSERT_EQ(wire::kind_of(message), wire::Kind::outcome);
  const Outcome got = wire::unpack<Outcome>(message);
  EXPECT_EQ(got.text, "text");
  ASSERT_EQ(got.steps.size(), 1u);
  EXPECT_EQ(got.steps[0].out.to_doubles(), (std::vector<double>{1, 2}));
  EXPECT_EQ(got.steps[0].lengths, step.lengths);
  EXPECT_EQ(got.steps[0].capacity, 7);
  ASSERT_EQ(got.steps[0].more.size(), 2u);
  EXPECT_EQ(got.steps[0].more.at(Output::lse).dtype, DType::f32);
  EXPECT_EQ(got.steps[0].more.at(Output::dsinks).to_doubles(), (std::vector<double>{1, -1, 8}));
}

}  // namespace
}  // namespace attnfuzz
