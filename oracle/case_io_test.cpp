#include "oracle/case_io.h"

#include <gtest/gtest.h>
#include <regex.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "oracle/build.h"
#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

const std::string plain = R"({
  "attnfuzz": 1,
  "about": "Plain, with \"quotes\" and an é",
  "problem": {
    "batch": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "q_len": 8,
    "kv_len": 11,
    "head_dim": 16,
    "head_dim_v": 16,
    "dtype": "f32",
    "layout": "bhsd",
    "scale": 0.1,
    "softcap": 30,
    "sinks": false,
    "memory_kv": 0,
    "head_map": "grouped",
    "bias_order": "after_softcap",
    "fully_masked": "zero",
    "mask": {
      "align": "top_left",
      "rules": [
        {"rule": "causal"},
        {"rule": "window", "left": 3, "right": 0},
        {"rule": "padding", "side": "left", "lens": [3, 11]}
      ]
    }
  },
  "data": {"seed": 18446744073709551615, "dist": "normal", "nonfinite": "none"},
  "expect": {"cpu:naive": "pass", "onnxruntime:Attention@1.20": "fail:mismatch head-map"}
}
)";

const std::string cached = R"({
  "attnfuzz": 1,
  "problem": {
    "batch": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 16,
    "head_dim_v": 16,
    "dtype": "bf16",
    "layout": "bshd",
    "scale": null,
    "softcap": 0,
    "sinks": true,
    "memory_kv": 1,
    "head_map": "interleaved",
    "bias_order": "before_softcap",
    "fully_masked": "any",
    "mask": {"align": "top_left", "rules": []}
  },
  "data": {"seed": 7, "dist": "one_hot", "nonfinite": "nan_padding"},
  "cache": {"kind": "paged", "capacity": 64, "page_size": 16},
  "steps": [
    {"op": "prefill", "q_len": 5, "lens": [5, 3]},
    {"op": "decode", "q_len": 1},
    {"op": "reorder", "rows": [1, 0]},
    {"op": "crop", "length": 4},
    {"op": "reset"}
  ]
}
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string complaint(const std::string& text) {
  try {
    parse_case(text, "x.json");
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(CaseIo, CanonicalTextIsStable) {
  EXPECT_EQ(write_case(parse_case(plain, "x.json")), plain);
  EXPECT_EQ(write_case(parse_case(cached, "x.json")), cached);
}

TEST(CaseIo, ReadsWhatItSays) {
  const CaseFile file = parse_case(plain, "x.json");
  EXPECT_EQ(file.c.data.seed, ~uint64_t{0});
  EXPECT_EQ(file.c.problem.scale, 0.1);
  EXPECT_EQ(file.c.problem.kv_len, 11);
  ASSERT_EQ(file.c.problem.mask.rules.size(), 3u);
  EXPECT_EQ(file.c.problem.mask.rules[1].integer(0), 3);
  EXPECT_EQ(file.c.problem.mask.rules[2].integer(0), 0);
  EXPECT_EQ(file.c.problem.mask.rules[2].list(1), (std::vector<int64_t>{3, 11}));
  EXPECT_EQ(file.expect.at("cpu:naive"), "pass");
  const Case c = parse_case(cached, "x.json").c;
  EXPECT_EQ(c.cache->page_size, 16);
  EXPECT_EQ(c.steps.size(), 5u);
  EXPECT_EQ(c.steps[0].lens, (std::vector<int64_t>{5, 3}));
}

/// What the schema says by a pattern, the reader says by itself.
TEST(CaseIo, ExpectationsAreThoseOfTheSchema) {
  regex_t pattern;
  ASSERT_EQ(regcomp(&pattern, expectation_pattern, REG_EXTENDED | REG_NOSUB), 0);
  for (const std::string verdict :
       {"pass", "passes", "fail", "fail:", "fail:mismatch", "fail:mismatch ", "fail:mismatch a-1",
        "fail:mismatch A", "fail:Mismatch", "fail:nan head-map more", "fail: head-map", "",
        "fail:a1", "xfail:nan", "fail:nan\n"}) {
    nlohmann::json json = nlohmann::json::parse(plain);
    json["expect"]["cpu:naive"] = verdict;
    bool read = true;
    try {
      parse_case(json.dump(), "a test");
    } catch (const InputError&) {
      read = false;
    }
    EXPECT_EQ(read, regexec(&pattern, verdict.c_str(), 0, nullptr, 0) == 0) << verdict;
  }
  regfree(&pattern);
}

TEST(CaseIo, RoundTripOfAnyCase) {
  EXPECT_TRUE(rc::check([] {
    const Case c = testing::random_case();
    const std::string text = write_case(c);
    const CaseFile back = parse_case(text, "x.json");
    RC_ASSERT(back.c == c);
    RC_ASSERT(write_case(back) == text);
  }));
}

TEST(CaseIo, KeepsEveryDouble) {
  EXPECT_TRUE(rc::check([](double any) {
    Case c;
    RC_PRE(std::isfinite(any) && any != 0);
    int exponent = 0;
    const double scale = std::frexp(any, &exponent) * scale_range.max;
    c.problem.scale = scale;
    RC_ASSERT(parse_case(write_case(c), "x.json").c.problem.scale == scale);
  }));
}

/// A change to a valid text, and how the complaint about it begins.
struct Wrong {
  const std::string& base;
  const char *from, *to, *complaint;
};
const Wrong wrongs[] = {
    {plain, "\"batch\": 2,", "\"batch\": \"2\",",
     "/problem/batch: expected an integer, found \"2\""},
    {plain, "\"batch\": 2,", "\"batch\": 2.0,", "/problem/batch: expected an integer, found 2.0"},
    {plain, "\"batch\": 2,", "\"batch\": 18446744073709551615,",
     "/problem/batch: expected an integer from 0 to 4096, found 18446744073709551615"},
    {plain, "[3, 11]", "[3, 9223372036854775808]",
     "/problem/mask/rules/2/lens/1: expected an integer from -9223372036854775808 to "
     "9223372036854775807, found 9223372036854775808"},
    {plain, "\"batch\": 2,", "\"batch\": -2,",
     "/problem/batch: expected an integer from 0 to 4096"},
    {plain, "\"batch\": 2,", "", "/problem: expected the key \"batch\""},
    {plain, "\"batch\": 2,", "\"bach\": 2,",
     "/problem: expected the key \"batch\", found \"bach\""},
    {plain, "\"batch\": 2,", "\"batch\": 2, \"soft_cap\": 2,",
     "/problem/soft_cap: unknown key here, expected only kind, batch, num_heads,"},
    {plain, "\"batch\": 2,", "\"batch\": 2, \"batch\": 2,",
     "/problem/batch: expected each key once, found it again"},
    {plain, "\"batch\": 2,", "\"batch\": 2,,", "expected JSON: parse error at line 5, column 16: "},
    {plain, "\"batch\": 2,", "\"batch\": 1e999,", "expected JSON: number overflow"},
    {plain, "\"sinks\": false", "\"sinks\": 0", "/problem/sinks: expected true or false, found 0"},
    {plain, "\"scale\": 0.1", "\"scale\": \"auto\"",
     "/problem/scale: expected a number or null, found \"auto\""},
    {plain, "\"softcap\": 30", "\"softcap\": null", "/problem/softcap: expected a number"},
    {plain, "\"f32\"", "\"fp32\"",
     "/problem/dtype: expected one of \"f64\", \"f32\", \"f16\", \"bf16\", \"e4m3\", \"e5m2\", "
     "found \"fp32\"; did you mean 'f32'?"},
    {plain, "{\"rule\": \"causal\"}", "{\"rule\": \"casual\"}",
     "/problem/mask/rules/0/rule: expected one of \"causal\", "},
    {plain, "{\"rule\": \"causal\"}", "\"causal\"",
     "/problem/mask/rules/0: expected an object, found \"causal\""},
    {plain, "{\"rule\": \"causal\"}", "{\"rule\": \"causal\", \"left\": 1}",
     "/problem/mask/rules/0/left: unknown key here, expected only rule"},
    {plain, "\"side\": \"left\"", "\"side\": \"lft\"",
     "/problem/mask/rules/2/side: expected one of"},
    {plain, "[3, 11]", "[3, 11.5]", "/problem/mask/rules/2/lens/1: expected an integer"},
    {plain, "[3, 11]", "3", "/problem/mask/rules/2/lens: expected a list, found 3"},
    {plain, "[3, 11]", "[3, 12]", "/problem/mask/rules/2/lens/1: expected an integer from 0 to 11"},
    {plain, "18446744073709551615", "18446744073709551616", "/data/seed: expected an integer from"},
    {plain, "18446744073709551615", "-1", "/data/seed: expected an integer from 0 to 2^64 - 1"},
    {plain, "\"attnfuzz\": 1", "\"attnfuzz\": 2", "/attnfuzz: expected format version 1, found 2"},
    {plain, "\"attnfuzz\": 1,", "", "expected the key \"attnfuzz\""},
    {plain, "\"expect\"", "\"expects\"", "/expects: unknown key here, expected only attnfuzz,"},
    {plain, "\"fail:mismatch head-map\"", "\"fail:mismatch \"",
     "/expect/onnxruntime:Attention@1.20: expected \"pass\" or \"fail:\""},
    {plain, "\"fail:mismatch head-map\"", "\"fail\"",
     "/expect/onnxruntime:Attention@1.20: expected \"pass\" or \"fail:\""},
    {plain, "\"onnxruntime:Attention@1.20\": \"fail:mismatch head-map\"", "\"./a~b.so\": 1",
     "/expect/.~1a~0b.so: expected a text, found 1"},
    {plain, "\"expect\"", "\"steps\": [], \"expect\"", "/steps: unknown key here"},
    {cached, "\"batch\": 2,", "\"batch\": 2, \"q_len\": 1,", "/problem/q_len: unknown key here"},
    {cached, "{\"op\": \"reset\"}", "{\"op\": \"reset\", \"q_len\": 1}",
     "/steps/4/q_len: unknown key here, expected only op"},
    {cached, "\"paged\"", "\"fixed\"", "/cache/page_size: unknown key here"},
    {cached, "\"paged\", \"capacity\": 64", "\"paged\"", "/cache: expected the key \"capacity\""},
    {cached, "\"steps\"", "\"stips\"", "expected the key \"steps\", found \"stips\""},
};

TEST(CaseIo, ComplainsWithPathExpectationAndFind) {
  for (const Wrong& wrong : wrongs) {
    const std::string text = complaint(replaced(wrong.base, wrong.from, wrong.to));
    EXPECT_TRUE(text.starts_with(std::string("x.json: ") + wrong.complaint))
        << "expected: " << wrong.complaint << "\nfound:    " << text;
  }
}

TEST(CaseIo, CutsWhatItFoundBetweenCharacters) {
  for (const std::string before : {"", "x"}) {
    std::string word = before;
    for (int k = 0; k < 60; ++k) word += "é";
    const std::string text = complaint(replaced(plain, "\"f32\"", "\"" + word + "\""));
    const size_t found = text.find("found \"") + 7;
    EXPECT_EQ(text.substr(found, text.find("…") - found), word.substr(0, 56 - before.size()));
  }
}

TEST(CaseIo, NothingButAnObject) {
  EXPECT_EQ(complaint("[]"), "x.json: expected an object, found []");
  EXPECT_TRUE(complaint("").starts_with("x.json: expected JSON: parse error at line 1, column 1"));
  EXPECT_TRUE(complaint(plain + "{}").starts_with("x.json: expected JSON: parse error at line"));
  EXPECT_TRUE(complaint(std::string(100000, '[')).find("expected at most 32 levels") !=
              std::string::npos);
}

TEST(CaseIo, FilesThatCannotBeRead) {
  EXPECT_THROW(read_case("/no/such/file.json"), InputError);
  EXPECT_THROW(read_case("/"), InputError);
}

TEST(CaseIo, SchemaInCorpusIsTheReaders) {
  std::ifstream file(build::source_dir() + "/corpus/case.schema.json");
  std::ostringstream text;
  text << file.rdbuf();
  const std::string wanted = build::binary_dir() + "/case.schema.json";
  std::ofstream(wanted) << case_schema();
  EXPECT_EQ(text.str(), case_schema()) << "if the format is to change, copy " << wanted;
}

}  // namespace
}  // namespace attnfuzz
