#include "oracle/given.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "oracle/answer.h"
#include "oracle/case_io.h"
#include "oracle/given_io.h"
#include "oracle/random_case.h"
#include "oracle/safetensors.h"

namespace attnfuzz {
namespace {

namespace fs = std::filesystem;

/// The case with the tensors that it has anyway, given. Of those that can be: NaN and infinities
/// where no rule foresees them are not.
Case given_its_own(Case c) {
  c.data.nonfinite = NonFinite::none;
  c.data = given_data(c, given_tensors(c), "x", "");
  return c;
}

/// Small, so that lists and base64 both come up.
Case random_small() {
  Case c = testing::random_case();
  c.data.nonfinite = NonFinite::none;
  RC_PRE(is_valid(c));
  for (const RuleUse& use : c.problem.mask.rules) RC_PRE(!use.spec->drawn);
  return c;
}

void expect_same_inputs(const Case& a, const Case& b) {
  const Inputs x = make_inputs(a), y = make_inputs(b);
  RC_ASSERT(x.all().size() == y.all().size());
  for (size_t k = 0; k < x.all().size(); ++k) {
    RC_ASSERT(x.all()[k].first == y.all()[k].first);
    RC_ASSERT(x.all()[k].second == y.all()[k].second);
  }
}

TEST(Given, ACaseGivenItsOwnTensorsIsTheSame) {
  EXPECT_TRUE(rc::check([] {
    const Case c = random_small();
    const Case given = given_its_own(c);
    expect_same_inputs(c, given);
    const Answer a = answer(c, make_inputs(c)), b = answer(given, make_inputs(given));
    RC_ASSERT(a.steps.size() == b.steps.size());
    for (size_t s = 0; s < a.steps.size(); ++s)
      RC_ASSERT(std::equal(a.steps[s].out.begin(), a.steps[s].out.end(), b.steps[s].out.begin(),
                           [](double x, double y) { return x == y || (x != x && y != y); }));
  }));
}

TEST(Given, TextIsStableAndHasTheSameTensors) {
  EXPECT_TRUE(rc::check([] {
    const Case given = given_its_own(random_small());
    const std::string text = write_case(given);
    const CaseFile read = parse_case(text, "x.json");
    RC_ASSERT(write_case(read) == text);
    RC_ASSERT(read.c.data.given != nullptr);
    expect_same_inputs(given, read.c);
    RC_ASSERT(features(read.c) == features(given));
  }));
}

TEST(Given, RulesThatDrawNumbersAreRejected) {
  Case c;
  c.problem.mask.rules = {
      {find_rule("relative_bias"), {int64_t{4}, int64_t{1}, int64_t{0}, int64_t{0}}}};
  const std::string text = write_case(given_its_own(c));
  EXPECT_THROW(parse_case(text, "x.json"), InputError);
}

/// 1 batch row, 1 head, 2 queries, 3 keys, head_dim 1.
Case tiny() {
  Case c;
  c.problem.q_len = 2;
  c.problem.kv_len = 3;
  c.problem.scale = 1;
  return c;
}

std::string text_of(const std::string& given, const Case& c = tiny()) {
  nlohmann::json json = nlohmann::json::parse(write_case(c));
  json["data"] = {{"given", nlohmann::json::parse(given)}};
  return json.dump();
}

std::string complaint(const std::string& text, const std::string& where = "x.json") {
  try {
    parse_case(text, where);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(Given, IsReadFromAList) {
  const Case c = parse_case(text_of(R"({"q":[1,0.1],"k":[0,1,2],"v":[1,"NaN","-inf"]})"), "x").c;
  EXPECT_EQ(make_inputs(c).at("k").to_doubles(), (std::vector<double>{0, 1, 2}));
  EXPECT_EQ(make_inputs(c).at("q").to_doubles()[1], 0.1F);
  EXPECT_TRUE(std::isnan(make_inputs(c).at("v").to_doubles()[1]));
  EXPECT_EQ(c.data.nonfinite, NonFinite::inf_value);
  EXPECT_NE(write_case(c).find("0.1]"), std::string::npos) << write_case(c);
}

TEST(Given, ABiasOfMinusInfinityHidesItsKey) {
  Case c = tiny();
  c.problem.mask.rules = {{find_rule("bias"), {int64_t{0}}}};
  c = parse_case(text_of(R"({"q":[1,1],"k":[0,0,0],"v":[1,2,30],"bias":[0,0,"-inf",0,0,0]})", c),
                 "x")
          .c;
  EXPECT_EQ(c.data.nonfinite, NonFinite::inf_bias);
  const std::vector<double> out = answer(c, make_inputs(c)).steps[0].out;
  EXPECT_NEAR(out[0], 1.5, 1e-12);
  EXPECT_NEAR(out[1], 11, 1e-12);
}

TEST(Given, AMaskIsTheRuleBooleans) {
  Case c = tiny();
  c.problem.mask.rules = {{find_rule("causal"), {}},
                          {find_rule("boolean"), {int64_t{0}, int64_t{50}}}};
  c = parse_case(text_of(R"({"q":[1,1],"k":[0,0,0],"v":[1,2,30],"mask":[1,1,1,0,1,1]})", c), "x").c;
  EXPECT_EQ(make_inputs(c).at("mask").to_doubles(), (std::vector<double>{1, 0, 0, 0, 1, 0}));
}

TEST(Given, NotANumberIsTheAnswerOfThoseWhoSeeIt) {
  Case c = tiny();
  c.problem.mask.rules = {{find_rule("causal"), {}}};
  const auto given = [&](const char* text) {
    const Case read = parse_case(text_of(text, c), "x").c;
    const StepAnswer step = answer(read, make_inputs(read), Precision{}).steps[0];
    for (const double bound : step.bound) EXPECT_FALSE(std::isnan(bound)) << text;
    return step.out;
  };
  std::vector<double> out = given(R"({"q":[1,"NaN"],"k":[0,0,0],"v":[5,7,9]})");
  EXPECT_NEAR(out[0], 5, 1e-12);
  EXPECT_TRUE(std::isnan(out[1]));
  out = given(R"({"q":[1,1],"k":[0,"NaN","inf"],"v":[5,7,9]})");
  EXPECT_NEAR(out[0], 5, 1e-12);
  EXPECT_TRUE(std::isnan(out[1]));
  out = given(R"({"q":[1,1],"k":[0,0,0],"v":[5,"inf","NaN"]})");
  EXPECT_NEAR(out[0], 5, 1e-12);
  EXPECT_EQ(out[1], HUGE_VAL);
  out = given(R"({"q":["inf",1],"k":[1,-1,0],"v":[5,7,9]})");
  EXPECT_TRUE(std::isnan(out[0]));  // exp(inf - inf)
}

TEST(Given, SmallerCasesReadTheFirstElements) {
  Case c = parse_case(text_of(R"({"q":[1,2],"k":[3,4,5],"v":[6,7,8]})"), "x").c;
  c.problem.kv_len = 2;
  EXPECT_EQ(make_inputs(c).at("v").to_doubles(), (std::vector<double>{6, 7}));
  EXPECT_NE(write_case(c).find("\"v\": [6, 7]"), std::string::npos) << write_case(c);
  c.problem.kv_len = 5;  // the rest is generated
  EXPECT_EQ(make_inputs(c).at("v").to_doubles()[2], 8);
  EXPECT_EQ(make_inputs(c).at("v").size(), 5);
}

TEST(Given, NamesWhatIsWrong) {
  Case masked = tiny();
  masked.problem.mask.rules = {{find_rule("boolean"), {int64_t{0}, int64_t{50}}}};
  Case biased = tiny();
  biased.problem.mask.rules = {{find_rule("bias"), {int64_t{0}}}};
  const struct {
    std::string text, words;
  } wrong[] = {
      {text_of("7"), "/data/given: expected the name of a .safetensors file below"},
      {text_of("\"/etc/passwd\""), "/data/given: expected the name of a .safetensors file below"},
      {text_of("\"../x.safetensors\""), "expected the name of a .safetensors file below"},
      {text_of("\"gone.safetensors\""), "gone.safetensors: expected a readable safetensors file"},
      {text_of("\"base64:###=\""), "/data/given: expected base64"},
      {text_of("\"base64:AAAA\""), "expected a safetensors file, found only 3 bytes"},
      {text_of("{}"), "expected the tensors q, k, v, found no \"q\""},
      {text_of(R"({"q":[1,2],"k":[1,2,3],"v":[1,2,3],"w":[]})"),
       "/data/given/w: expected only the tensors q, k, v"},
      {text_of(R"({"q":[1,2],"k":[1,2,3],"v":[1,2]})"),
       "/data/given/v: expected a list of 3 numbers for the shape [1, 1, 3, 1], found 2"},
      {text_of(R"({"q":[1,"x"],"k":[1,2,3],"v":[1,2,3]})"),
       "/data/given/q/1: expected a number that f32 can hold"},
      {text_of(R"({"q":[1,1e39],"k":[1,2,3],"v":[1,2,3]})"), "/data/given/q/1"},
      {text_of(R"({"q":[1,2],"k":[1,2,3],"v":[1,2,3],"mask":[1,1,1,1,1,2]})", masked),
       "/data/given/mask/5: expected 0 or 1"},
      {text_of(R"({"q":[1,2],"k":[1,2,3],"v":[1,2,3],"bias":[0,0,0,0,0,"NaN"]})", biased),
       "/data/given/bias: expected finite numbers and -inf"},
  };
  for (const auto& [text, words] : wrong)
    EXPECT_NE(complaint(text).find(words), std::string::npos) << words << "\n" << complaint(text);
  nlohmann::json both = nlohmann::json::parse(text_of(R"({"q":[1,2],"k":[1,2,3],"v":[1,2,3]})"));
  both["data"]["seed"] = 1;
  EXPECT_NE(complaint(both.dump()).find("/data/seed: unknown key"), std::string::npos);
}

/// A folder with a safetensors file, removed at the end.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("attnfuzz-given-" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  void put(const char* name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
  }
};

TEST(Given, IsReadFromAFileBesideTheCase) {
  const Folder folder;
  const Case c = given_its_own(tiny());
  folder.put("x.safetensors", given_safetensors(c));
  folder.put("x.case.json", text_of("\"x.safetensors\""));
  const CaseFile read = read_case((folder.path / "x.case.json").string());
  EXPECT_EQ(read.c, c);
  EXPECT_EQ(write_case(read), write_case(c));  // the text stands alone

  Case f16 = tiny();
  f16.problem.dtype = DType::f16;
  const std::string where = (folder.path / "y.case.json").string();
  EXPECT_NE(complaint(text_of("\"x.safetensors\"", f16), where)
                .find("x.safetensors: /q/dtype: expected f16, found f32"),
            std::string::npos);
  Case longer = tiny();
  longer.problem.kv_len = 4;
  EXPECT_NE(complaint(text_of("\"x.safetensors\"", longer), where)
                .find("x.safetensors: /k/shape: expected [1, 1, 4, 1], found [1, 1, 3, 1]"),
            std::string::npos);
}

}  // namespace
}  // namespace attnfuzz
