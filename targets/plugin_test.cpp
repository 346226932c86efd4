#include "targets/plugin.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "oracle/build.h"
#include "oracle/inputs.h"

namespace attnfuzz {
namespace {

std::string plugin(const std::string& name) {
  return build::binary_dir() + "/plugins/" + name + ".so";
}

std::string error_of(const std::string& name) {
  try {
    open_plugin(name);
  } catch (const InputError& e) {
    return e.what();
  }
  return "no error";
}

Outcome run(const std::string& name, const Case& c) {
  return open_plugin(name)->run(c, make_inputs(c));
}

Case plain(int64_t q_len = 3) {
  Case c;
  c.problem.q_len = q_len;
  return c;
}

TEST(Plugin, ExampleComputesCausalAttentionOfGroupedHeads) {
  Case c;
  Problem& p = c.problem;
  p.batch = 2;
  p.num_heads = 4;
  p.num_kv_heads = 2;
  p.q_len = p.kv_len = 3;
  p.head_dim = 5;
  p.head_dim_v = 2;
  p.layout = Layout::bshd;
  p.mask.rules = {{find_rule("causal"), {}}};
  const Inputs inputs = make_inputs(c);
  const auto target = open_plugin(plugin("my_attention"));
  EXPECT_EQ(target->info().version, "1.0");
  EXPECT_FALSE(target->info().trusted);
  EXPECT_EQ(target->info().capabilities.rejection_reason(c), "");
  const Outcome outcome = target->run(c, inputs);
  ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
  const Tensor& out = outcome.steps.at(0).out;
  ASSERT_EQ(out.shape, (Shape{2, 3, 4, 2}));
  // Query 0 sees key 0 alone, so it gets the value of its KV head as it is.
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t d = 0; d < 2; ++d)
        EXPECT_EQ(out.as<float>()[(b * 3 * 4 + h) * 2 + d],
                  inputs.at("v").as<float>()[(b * 3 * 2 + h / 2) * 2 + d]);
}

TEST(Plugin, TheHeaderIsPlainC) {
  Case c = plain(3);
  c.problem.head_dim_v = 2;
  const Inputs inputs = make_inputs(c);
  const auto target = open_plugin(plugin("c_plugin"));
  EXPECT_EQ(target->info().capabilities.rejection_reason(c), "");
  const Outcome outcome = target->run(c, inputs);
  ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
  const std::vector<double> v = inputs.at("v").to_doubles();
  EXPECT_EQ(outcome.steps.at(0).out.to_doubles(),
            (std::vector<double>{v[0], v[1], v[0], v[1], v[0], v[1]}));
}

TEST(Plugin, DamageIsAnError) {
  const std::string file = plugin("bad_none");
  EXPECT_EQ(run(file + ":writes_past_end", plain()).text, "out was written past its end");
  EXPECT_EQ(run(file + ":writes_before_start", plain()).text, "out was written before its start");
  EXPECT_EQ(run(file + ":writes_input", plain()).text, "k is an input, but was written to");
  EXPECT_EQ(run(file + ":writes_input", plain()).status, Status::error);
}

TEST(Plugin, StatusAndTextComeThrough) {
  const std::string file = plugin("bad_none");
  EXPECT_EQ(run(file + ":throws", plain()).text, "uncaught exception: no luck");
  EXPECT_EQ(run(file + ":throws", plain()).status, Status::error);
  EXPECT_EQ(run(file + ":declines", plain()).status, Status::declined);
  EXPECT_EQ(run(file + ":declines", plain()).text, "not on Mondays");
  EXPECT_EQ(run(file + ":fails", plain()).status, Status::error);
  EXPECT_EQ(run(file + ":fails", plain()).text, "a (3) must match b (4)");
  EXPECT_FALSE(run(file + ":fails", plain()).final);
  EXPECT_EQ(run(file + ":breaks", plain()).status, Status::error);
  EXPECT_TRUE(run(file + ":breaks", plain()).final);
  EXPECT_EQ(run(file + ":notices", plain()).status, Status::ok);
  EXPECT_EQ(run(file + ":notices", plain()).text,
            "Race reported between Write access and Read access");
}

TEST(Plugin, WhatIsNotWrittenIsNan) {
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
    Case c = plain();
    c.problem.dtype = dtype;
    const Outcome outcome = run(plugin("bad_none") + ":writes_nothing", c);
    ASSERT_EQ(outcome.status, Status::ok);
    for (const double x : outcome.steps.at(0).out.to_doubles()) EXPECT_TRUE(std::isnan(x));
  }
}

TEST(Plugin, StepsOfACache) {
  Case c;
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache = Cache{};
  c.steps = {{StepOp::prefill, 3, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}};
  const Outcome outcome = run(plugin("bad_none") + ":counts", c);
  ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
  ASSERT_EQ(outcome.steps.size(), 2u);
  EXPECT_EQ(outcome.steps[0].out.to_doubles(), (std::vector<double>{3, 3, 3}));
  EXPECT_EQ(outcome.steps[1].out.to_doubles(), std::vector<double>{4});
  EXPECT_EQ(outcome.steps[1].lengths, std::vector<int64_t>{4});
}

TEST(Plugin, BadOnesAreRefused) {
  const auto expect = [](const std::string& name, const std::string& message) {
    EXPECT_NE(error_of(name).find(message), std::string::npos) << error_of(name);
  };
  expect("./no_such_file.so", "expected a shared library");
  expect(plugin("bad_symbol"), "expected a plug-in that exports attnfuzz_plugin");
  expect(plugin("bad_version"), "abi_version: expected 1, found 2");
  expect(plugin("bad_capabilities"), "not 'rule:casual'; did you mean 'rule:causal'?");
  expect(plugin("bad_names"), "found 'same' again");
  expect(plugin("bad_functions"), "expected cache_open, cache_step and cache_close");
  expect(plugin("bad_none"), ":writes_past_end, ");
  expect(plugin("bad_none") + ":nothing", "expected one of ");

  const std::string not_a_library = testing::TempDir() + "attnfuzz_text.so";
  std::ofstream(not_a_library) << "text";
  expect(not_a_library, "expected a shared library");
}

TEST(Plugin, Names) {
  EXPECT_EQ(plugin_targets(plugin("my_attention")),
            std::vector<std::string>{plugin("my_attention") + ":my_attention"});
  EXPECT_TRUE(is_plugin_name("./mine.so"));
  EXPECT_TRUE(is_plugin_name("mine.so:a"));
  EXPECT_FALSE(is_plugin_name("cpu:naive"));
  EXPECT_FALSE(is_plugin_name("torch:sdpa-math"));
}

}  // namespace
}  // namespace attnfuzz
