#include "fuzz/generate.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "fuzz/arbitrary.h"
#include "fuzz/byte_draw.h"
#include "fuzz/claims.h"
#include "targets/target.h"

namespace attnfuzz {
namespace {

/// Words that features() never gives: they stand for what every case is.
const std::set<std::string> silent{"data:normal", "nonfinite:none", "head_map:grouped",
                                   "bias_order:after_softcap"};

class GenerateFor : public ::testing::TestWithParam<std::string_view> {
 protected:
  const std::unique_ptr<Target> target = open_target(std::string(GetParam()));
  const Capabilities& capabilities = target->info().capabilities;
};

TEST_P(GenerateFor, CasesAreValidAndInside) {
  EXPECT_TRUE(rc::check([&] {
    const Case c = *arbitrary_case(capabilities);
    RC_LOG() << one_line(c) << "\n";
    check(c);
    RC_ASSERT(capabilities.rejection_reason(c).empty());
  }));
}

TEST_P(GenerateFor, EveryDeclaredFeatureComesUp) {
  const Generator generator(capabilities);
  std::set<std::string> missing(capabilities.features.begin(), capabilities.features.end());
  for (const std::string& word : silent) missing.erase(word);
  for (uint64_t index = 0; index < 4000 && !missing.empty(); ++index)
    for (const std::string& word : features(generator(*seeded_draw(1, index)))) missing.erase(word);
  EXPECT_TRUE(missing.empty()) << "first of " << missing.size() << ": " << *missing.begin();
}

TEST_P(GenerateFor, SameSeedSameCase) {
  const Generator generator(capabilities), again(capabilities);
  for (uint64_t index = 0; index < 50; ++index)
    EXPECT_EQ(generator(*seeded_draw(9, index)), again(*seeded_draw(9, index)));
}

TEST_P(GenerateFor, AnyBytesAreACase) {
  EXPECT_TRUE(rc::check([&](const std::vector<uint8_t>& bytes) {
    ByteDraw draw(bytes);
    const Case c = generate(capabilities, draw);
    check(c);
    RC_ASSERT(capabilities.rejection_reason(c).empty());
  }));
}

std::vector<std::string_view> names() {
  std::vector<std::string_view> all;
  for (const BuiltinTarget& target : builtin_targets())
    if (!target.name.starts_with("fixed:")) all.push_back(target.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Builtin, GenerateFor, ::testing::ValuesIn(names()), [](const auto& test) {
  std::string name(test.param);
  for (char& x : name)
    if (std::isalnum(static_cast<unsigned char>(x)) == 0) x = '_';
  return name;
});

TEST(Generate, AxesAreMostlyDistinct) {
  const Generator generator(open_target("cpu:naive")->info().capabilities);
  constexpr int count = 2000;
  int distinct = 0, square = 0;
  for (uint64_t index = 0; index < count; ++index) {
    const Problem p = generator(*seeded_draw(1, index)).problem;
    const std::set<int64_t> sizes{p.batch, p.num_heads, p.q_len, p.head_dim};
    distinct += sizes.size() == 4;
    square += p.q_len == p.kv_len;
  }
  EXPECT_GT(distinct, count * 7 / 10);
  EXPECT_LT(distinct, count);
  EXPECT_GT(square, count / 10);
}

TEST(Generate, AimsAtTiles) {
  Capabilities capabilities = parse_capabilities(
      R"({"sizes": {"q_len": [1, 100], "kv_len": [1, 100]}, "tiles": {"kv_len": [32]},
          "features": ["dtype:f32", "layout:bhsd", "cross"]})",
      "test");
  std::map<int64_t, int> count;
  for (uint64_t index = 0; index < 3000; ++index)
    ++count[generate(capabilities, *seeded_draw(1, index)).problem.kv_len];
  for (const int64_t edge : {31, 32, 33, 63, 64, 65}) EXPECT_GT(count[edge], 20) << edge;
  EXPECT_LT(count[48], 20);
}

TEST(Generate, AxesThatAreEqualAreMultiplesOfWhatBothAre) {
  const Capabilities capabilities = parse_capabilities(
      R"({"sizes": {"q_len": [4, 64, 4], "kv_len": [6, 60, 6]}, "equal": [["q_len", "kv_len"]],
          "features": ["dtype:f32", "layout:bhsd"]})",
      "test");
  EXPECT_EQ(Claims(capabilities).range(Axis::q_len).multiple_of, 12);
}

TEST(Generate, StaysInsideOddClaims) {
  constexpr std::string_view claims[] = {
      R"({"sizes": {"num_heads": [8, 8], "num_kv_heads": [2, 2], "head_dim": [64, 128, 64],
                    "head_dim_v": [64, 128, 64]},
          "features": ["dtype:f16", "layout:bshd", "gqa"]})",
      R"({"sizes": {"q_len": [1, 1], "kv_len": [16, 64, 16], "memory_kv": [2, 4]},
          "features": ["dtype:bf16", "layout:bhsd", "cross", "memory_kv"]})",
      R"({"sizes": {"q_len": [1, 32], "kv_len": [1, 32]}, "equal": [["q_len", "kv_len"]],
          "features": ["dtype:f32", "dtype:f64", "layout:bhsd", "rule:causal", "rule:window",
                       "rule:alibi", "softcap"],
          "excludes": [["softcap", "rule:alibi"], ["dtype:f64", "rule:window"]],
          "requires": [["rule:window", "rule:causal"], ["dtype:f64", "rule:causal"]],
          "params": {"window.left": [4, 8, 4], "window.right": [0, 0]}, "max_rules": 2})"};
  for (const std::string_view text : claims) {
    const Capabilities capabilities = parse_capabilities(text, "test");
    for (uint64_t index = 0; index < 500; ++index) {
      const Case c = generate(capabilities, *seeded_draw(2, index));
      check(c);
      EXPECT_EQ(capabilities.rejection_reason(c), "");
    }
  }
}

TEST(Generate, SaysWhichClaimIsImpossible) {
  const Capabilities capabilities = parse_capabilities(
      R"({"sizes": {"q_len": [1, 8], "kv_len": [16, 32]}, "features": ["dtype:f32", "layout:bhsd"]})",
      "test");
  try {
    generate(capabilities, *seeded_draw(1, 1));
    FAIL() << "no case has equal lengths here, and others are not claimed";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("q_len"), std::string::npos) << error.what();
  }
}

TEST(Generate, ClaimsThatLeaveOnlyInvalidSizesAreRejected) {
  constexpr std::string_view claims[] = {
      R"({"sizes": {"num_heads": [5, 5], "num_kv_heads": [3, 3]},
          "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa"]})",
      R"({"sizes": {"q_len": [1, 8], "kv_len": [1, 8]},
          "features": ["dtype:f32", "layout:bhsd", "cache:dynamic", "step:prefill"]})"};
  for (const std::string_view text : claims) {
    const Generator generator(parse_capabilities(text, "test"));
    for (uint64_t index = 0; index < 50; ++index) {
      try {
        check(generator(*seeded_draw(1, index)));
      } catch (const InputError& error) {
        EXPECT_TRUE(std::string_view(error.what()).starts_with("capabilities: ")) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace attnfuzz
