#include "targets/capabilities.h"

#include <gtest/gtest.h>

#include <string>

namespace attnfuzz {
namespace {

constexpr std::string_view text = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [0, 32],
            "kv_len": [0, 32], "head_dim": [8, 64, 8], "head_dim_v": [8, 64, 8],
            "steps": [0, 4], "capacity": [0, 32]},
  "equal": [["head_dim", "head_dim_v"]],
  "features": ["layout:bhsd", "dtype:f32", "dtype:bf16", "rule:window", "rule:causal", "cross",
               "softcap", "scale", "align:top_left", "cache:fixed", "step:prefill", "step:append",
               "step:crop", "step:reorder", "longer_q", "dtype:f32"],
  "excludes": [["softcap", "rule:window"]],
  "requires": [["rule:window", "rule:causal"]],
  "precision": {"bf16": {"p": "bf16", "scores": "bf16", "exp_ulps": 16,
                         "truncates": true}},
  "tiles": {"kv_len": [16]}, "params": {"window.left": [0, 5]}, "max_rules": 2,
  "compiled_for": ["kv_len", "softcap"]
})";

Capabilities read() {
  return parse_capabilities(text, "test");
}

RuleUse rule(std::string_view name, std::vector<ParamValue> values = {}) {
  return {find_rule(name), std::move(values)};
}

Case inside() {
  Case c;
  c.problem.q_len = 4;
  c.problem.kv_len = 6;
  c.problem.head_dim = c.problem.head_dim_v = 16;
  return c;
}

TEST(Capabilities, ReadsAndWrites) {
  const Capabilities c = read();
  EXPECT_TRUE(c.has("cross"));
  EXPECT_FALSE(c.has("gqa"));
  EXPECT_EQ(c.sizes.at("head_dim").multiple_of, 8);
  EXPECT_EQ(c.tiles.at("kv_len"), std::vector<int64_t>{16});
  EXPECT_EQ(c.compiled_for, (std::vector<std::string>{"kv_len", "softcap"}));
  EXPECT_EQ(write_capabilities(parse_capabilities(write_capabilities(c), "again")),
            write_capabilities(c));
}

TEST(Capabilities, PrecisionFillsWhatIsNotSaid) {
  const Capabilities c = read();
  EXPECT_EQ(c.precision_of(DType::bf16),
            (Precision{DType::f32, DType::bf16, 16, DType::bf16, false, 0, {}, true}));
  EXPECT_EQ(c.precision_of(DType::f32).accumulate, DType::f32);
  EXPECT_EQ(c.precision_of(DType::f64).accumulate, DType::f64);
  EXPECT_EQ(c.precision_of(DType::f64).p, DType::f64);
}

TEST(Capabilities, WhyNotNamesTheReason) {
  const Capabilities c = read();
  EXPECT_EQ(c.rejection_reason(inside()), "");

  Case sizes = inside();
  sizes.problem.head_dim = 12;
  EXPECT_EQ(c.rejection_reason(sizes), "head_dim 12 is not in [8, 64] by 8");
  sizes = inside();
  sizes.problem.head_dim_v = 24;
  EXPECT_EQ(c.rejection_reason(sizes), "head_dim 16 must equal head_dim_v 24");
  sizes = inside();
  sizes.problem.memory_kv = 1;
  EXPECT_EQ(c.rejection_reason(sizes), "memory_kv 1 is not in [0, 0]");

  Case heads = inside();
  heads.problem.num_heads = 4;
  heads.problem.num_kv_heads = 2;
  EXPECT_EQ(c.rejection_reason(heads), "gqa is not supported");

  Case rules = inside();
  rules.problem.mask.rules = {rule("window", {int64_t{3}, int64_t{0}})};
  EXPECT_EQ(c.rejection_reason(rules), "rule:window needs rule:causal");
  rules.problem.mask.rules.push_back(rule("causal"));
  EXPECT_EQ(c.rejection_reason(rules), "");
  rules.problem.softcap = 10;
  EXPECT_EQ(c.rejection_reason(rules), "softcap and rule:window are not supported together");
  rules.problem.mask.rules[0].values[0] = int64_t{6};
  EXPECT_EQ(c.rejection_reason(rules), "window.left 6 is not in [0, 5]");
  rules.problem.mask.rules.push_back(rule("alibi"));
  EXPECT_EQ(c.rejection_reason(rules), "3 mask rules, at most 2");
}

TEST(Capabilities, WhyNotCountsTheTokensOfACache) {
  const Capabilities c = read();
  Case cached = inside();
  cached.problem.q_len = cached.problem.kv_len = 0;
  cached.problem.batch = 2;
  cached.cache = Cache{CacheKind::fixed, 32, 0};
  cached.steps = {{StepOp::prefill, 30, {}, {}, 0},
                  {StepOp::crop, 0, {}, {}, 20},
                  {StepOp::append, 12, {}, {}, 0}};
  EXPECT_EQ(c.rejection_reason(cached), "");
  cached.steps[2].q_len = 13;
  EXPECT_EQ(c.rejection_reason(cached), "kv_len 33 is not in [0, 32]");
  cached.steps[2].q_len = 33;
  EXPECT_EQ(c.rejection_reason(cached), "q_len 33 is not in [0, 32]");
  cached.steps[2] = {StepOp::reset, 0, {}, {}, 0};
  EXPECT_EQ(c.rejection_reason(cached), "step:reset is not supported");
}

TEST(Capabilities, EveryStepIsHeldToTheMultiple) {
  Capabilities c = read();
  c.sizes["q_len"] = {4, 32, 4};
  Case cached = inside();
  cached.problem.q_len = cached.problem.kv_len = 0;
  cached.cache = Cache{CacheKind::fixed, 32, 0};
  cached.steps = {{StepOp::prefill, 4, {}, {}, 0},
                  {StepOp::append, 6, {}, {}, 0},
                  {StepOp::append, 8, {}, {}, 0}};
  EXPECT_EQ(c.rejection_reason(cached), "q_len 6 is not in [4, 32] by 4");
}

TEST(Capabilities, ASizeLeftOutGoesWithItsPartner) {
  const std::string sizes = R"({"sizes": {"num_heads": [1, 8], "head_dim": [4, 64, 4], )"
                            R"("q_len": [1, 6], "steps": [0, 5]}, "features": ["dtype:f32", )"
                            R"("layout:bhsd")";
  const Capabilities alone = parse_capabilities(sizes + "]}", "t");
  EXPECT_EQ(alone.sizes.at("num_kv_heads").max, 8);
  EXPECT_EQ(alone.sizes.at("head_dim_v").multiple_of, 4);
  EXPECT_EQ(alone.sizes.at("kv_len").max, 30);
  const Capabilities more = parse_capabilities(sizes + R"(, "mqa", "head_dim_v", "cross"]})", "t");
  EXPECT_EQ(more.sizes.size(), alone.sizes.size() - 3);
}

struct Wrong {
  std::string_view json, message;
};
class CapabilitiesErrors : public testing::TestWithParam<Wrong> {};

TEST_P(CapabilitiesErrors, NameThePlace) {
  try {
    parse_capabilities(GetParam().json, "t.so:a");
    FAIL() << "accepted";
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()).substr(0, GetParam().message.size()), GetParam().message);
  }
}

#define DTYPE R"("features": ["dtype:f32", "layout:bhsd"])"
INSTANTIATE_TEST_SUITE_P(
    , CapabilitiesErrors,
    testing::Values(
        Wrong{"{", "t.so:a capabilities: expected JSON"},
        Wrong{"[]", "t.so:a capabilities: expected an object"},
        Wrong{"{}", "t.so:a capabilities: expected \"features\""},
        Wrong{R"({"features": ["layout:bhsd"]})",
              "t.so:a capabilities: /features: expected at least one dtype:…"},
        Wrong{R"({"features": ["dtype:f32", "rule:casual"]})",
              "t.so:a capabilities: /features/1: expected a feature, not 'rule:casual'; did you "
              "mean 'rule:causal'?"},
        Wrong{R"({"size": {}, )" DTYPE "}",
              "t.so:a capabilities: /size: expected a key of capabilities, not 'size'; did you "
              "mean 'sizes'?"},
        Wrong{R"({"max_rules": 1, "max_rules": 2, )" DTYPE "}",
              "t.so:a capabilities: /max_rules: expected each key once"},
        Wrong{R"({"sizes": {"heads": [1, 2]}, )" DTYPE "}",
              "t.so:a capabilities: /sizes/heads: expected a size, not 'heads'"},
        Wrong{R"({"sizes": {"batch": [2, 1]}, )" DTYPE "}",
              "t.so:a capabilities: /sizes/batch/1: expected an integer of at least 2"},
        Wrong{R"({"sizes": {"batch": [9, 15, 16]}, )" DTYPE "}",
              "t.so:a capabilities: /sizes/batch: expected a multiple of 16 in [9, 15]"},
        Wrong{R"({"sizes": {"batch": 1}, )" DTYPE "}",
              "t.so:a capabilities: /sizes/batch: expected [min, max] or [min, max, multiple_of]"},
        Wrong{R"({"equal": [["q_len"]], )" DTYPE "}",
              "t.so:a capabilities: /equal/0: expected a pair"},
        Wrong{R"({"excludes": [[]], )" DTYPE "}",
              "t.so:a capabilities: /excludes/0: expected at least one feature"},
        Wrong{R"({"precision": {"f32": {"accumulate": "f31"}}, )" DTYPE "}",
              "t.so:a capabilities: /precision/f32/accumulate: expected a dtype, not 'f31'"},
        Wrong{R"({"precision": {"f32": {"exp_ulps": -1}}, )" DTYPE "}",
              "t.so:a capabilities: /precision/f32/exp_ulps: expected a number from 0 to 65536"},
        Wrong{R"({"precision": {"f32": {"exp_ulps": 1e300}}, )" DTYPE "}",
              "t.so:a capabilities: /precision/f32/exp_ulps: expected a number from 0 to 65536"},
        Wrong{R"({"params": {"window.size": [1, 2]}, )" DTYPE "}",
              "t.so:a capabilities: /params/window.size: expected a rule's parameter"},
        Wrong{R"({"tiles": {"kv_len": [0]}, )" DTYPE "}",
              "t.so:a capabilities: /tiles/kv_len/0: expected an integer of at least 1"},
        Wrong{
            R"({"compiled_for": ["kv_length"], )" DTYPE "}",
            "t.so:a capabilities: /compiled_for/0: expected a size or a feature, not 'kv_length'; "
            "did you mean 'kv_len'?"},
        Wrong{R"({"max_rules": 1.5, )" DTYPE "}",
              "t.so:a capabilities: /max_rules: expected an integer of at least 0"}));

}  // namespace
}  // namespace attnfuzz
