#include "targets/protocol.h"

#include <gtest/gtest.h>

namespace attnfuzz {
namespace {

/// A case with gradients, by the protocol to a worker and back.
TEST(Protocol, AllOutputsTravel) {
  Case c;
  c.problem.q_len = 2;
  c.problem.kv_len = 3;
  c.problem.dtype = DType::bf16;
  c.problem.dropout_keep = 50;
  c.problem.outputs = {Output::out, Output::lse, Output::dk};
  const Inputs inputs = make_inputs(c);
  SharedMemory memory;
  const Request request = parse_request(write_request(7, c, inputs, memory), memory);
  EXPECT_EQ(request.c, c);
  EXPECT_EQ(request.threads, 0);
  EXPECT_EQ(parse_request(write_request(7, c, inputs, memory, 3), memory).threads, 3);
  EXPECT_EQ(request.inputs.at("grad_out").bytes, inputs.at("grad_out").bytes);
  EXPECT_EQ(request.inputs.at("dropout").bytes, inputs.at("dropout").bytes);

  Outcome sent;
  StepOutput& step = sent.steps.emplace_back();
  step.out = Tensor::from_doubles(DType::bf16, {1, 1, 2, 1}, {1, 2});
  step.more[Output::lse] = Tensor::from_doubles(DType::f32, {1, 1, 2}, {0.25, 3});
  step.more[Output::dk] = Tensor::from_doubles(DType::bf16, {1, 1, 3, 1}, {5, 6, 7});
  const std::string reply = write_reply(request, sent, memory);
  const Outcome got = parse_reply(reply, 7, 1 << 20, memory);
  ASSERT_EQ(got.steps.size(), 1u);
  EXPECT_EQ(got.steps[0].out.bytes, step.out.bytes);
  ASSERT_EQ(got.steps[0].more.size(), 2u);
  EXPECT_EQ(got.steps[0].more.at(Output::lse).to_doubles(), (std::vector<double>{0.25, 3}));
  EXPECT_EQ(got.steps[0].more.at(Output::dk).bytes, step.more[Output::dk].bytes);

  EXPECT_FALSE(got.final);
  sent.final = true;
  sent.seconds = 0.25;
  const Outcome last = parse_reply(write_reply(request, sent, memory), 7, 1 << 20, memory);
  EXPECT_TRUE(last.final);
  EXPECT_EQ(last.seconds, 0.25);

  std::string unknown = reply;
  unknown.replace(unknown.find("\"dk\""), 4, "\"dx\"");
  EXPECT_THROW(parse_reply(unknown, 7, 1 << 20, memory), ProtocolError);
}

}  // namespace
}  // namespace attnfuzz
