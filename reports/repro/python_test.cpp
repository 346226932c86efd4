#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "reports/repro/run_command.h"
#include "reports/sample_findings.h"
#include "reports/temporary_folder.h"
#include "targets/remote.h"

namespace attnfuzz {
namespace {

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, text.npos) << what;
  return at == text.npos ? text : text.replace(at, what.size(), with);
}

class ScriptTest : public testing::Test {
 protected:
  Ran run_script(const std::string& text, const std::string& python = python_interpreter()) {
    std::ofstream(dir_ / "repro.py") << text;
    return run(python + " " + (dir_ / "repro.py").string());
  }

  TemporaryFolder folder_;
  const std::filesystem::path& dir_ = folder_.path();
};

class PythonRepro : public ScriptTest, public testing::WithParamInterface<const char*> {};

/// The script with a wrong answer: another scale in its reference, or an output that is off.
std::string spoiled(const std::string& text) {
  for (const char* what : {"s = Q @", "s = q[b"})
    if (text.find(what) != text.npos)
      return replaced(text, what, "s = 1.5 * " + std::string(what + 4));
  for (const char* what : {"target(), np.reshape", "attend(np."})
    if (text.find(what) != text.npos) return replaced(text, what, "1.5 * " + std::string(what));
  return text;
}

std::string script(const Case& c, const std::string& target, const std::string& version = "1.0") {
  TargetInfo info;
  info.name = target;
  info.version = version;
  return make_repro(c, info).text;
}

/// The reference and the inputs alone: the "package" is a copy of the reference in NumPy.
TEST_F(ScriptTest, ReferenceIsTheOraclesAnswer) {
  if (run(python_interpreter() + " -c 'import numpy'").exit != 0) GTEST_SKIP() << "needs numpy";
  std::string text = script(samples::window_case(), "torch:sdpa-math");
  const size_t imports = text.find("import torch"), after = text.find("# [batch");
  const size_t target = text.find("def target"), reference = text.find("def reference");
  const size_t normal = text.find("def philox");
  ASSERT_NE(normal, text.npos);
  ASSERT_LT(after, target);
  const std::string head = text.substr(0, imports) + text.substr(normal, target - normal);
  const std::string right =
      head + "def target():\n    return reference()[0]\n\n" + text.substr(reference);
  const Ran good = run_script(right);
  EXPECT_EQ(good.exit, 0) << good.output;
  EXPECT_NE(good.output.find("all 1024 elements are within their bound"), std::string::npos);

  // What the script computes is what the oracle answers.
  const Case c = samples::window_case();
  const auto values = answer(c, make_inputs(c)).steps[0].out;
  const std::string probe =
      head + text.substr(reference, text.find("np.seterr") - reference) +
      "np.seterr(all='ignore')\nfor x in reference()[0].ravel(): print(repr(float(x)))\n";
  const Ran printed = run_script(probe);
  ASSERT_EQ(printed.exit, 0) << printed.output;
  std::istringstream lines(printed.output);
  for (const double value : values) {
    double got = 0;
    ASSERT_TRUE(lines >> got);
    EXPECT_NEAR(got, value, 1e-12);
  }

  const Ran bad = run_script(
      head +
      "def target():\n    out = reference()[0]\n    out[1, 2, 3, 4] += 1\n    return out\n\n" +
      text.substr(reference));
  EXPECT_EQ(bad.exit, 1);
  EXPECT_NE(bad.output.find("out[1, 2, 3, 4] is "), std::string::npos) << bad.output;
  EXPECT_NE(bad.output.find("1 of 1024 elements are wrong"), std::string::npos) << bad.output;
}

std::vector<Case> varied_cases() {
  std::vector<Case> cases{samples::small_case()};
  const char* masks[] = {
      R"({"align":"top_left","rules":[{"rule":"causal"}]})",
      R"({"align":"bottom_right","rules":[{"rule":"causal"},{"rule":"window","left":3,"right":0}]})",
      R"({"align":"top_left","rules":[{"rule":"padding","side":"right","lens":[11,6]}]})",
      R"({"align":"top_left","rules":[{"rule":"padding","side":"left","lens":[11,6]},{"rule":"bias","shape":"hqk"}]})",
      R"({"align":"bottom_right","rules":[{"rule":"alibi"},{"rule":"boolean","shape":"bqk","keep":70}]})",
  };
  for (const char* mask : masks) {
    cases.push_back(samples::small_case(mask));
    Case& c = cases.back();
    if (cases.size() % 3 == 0) {
      c.problem.layout = Layout::bshd;
      c.data.dist = Distribution::large;
    }
    if (cases.size() % 3 == 1) {  // small enough for literals
      c.problem.num_heads = c.problem.num_kv_heads = 2;
      c.problem.q_len = 3;
      c.problem.head_dim = c.problem.head_dim_v = 4;
      c.problem.scale = 0.3;
    }
  }
  return cases;
}

/// Gradients of all kinds, by the script's own formulas, are the oracle's.
TEST_F(ScriptTest, GradientsAreTheOracles) {
  if (run(python_interpreter() + " -c 'import numpy'").exit != 0) GTEST_SKIP() << "needs numpy";
  Case c = samples::small_case(
      R"({"align":"bottom_right","rules":[{"rule":"causal"},{"rule":"bias","shape":"hqk"}]})");
  c.problem.layout = Layout::bshd;
  c.problem.softcap = 2;
  c.problem.outputs = {Output::out, Output::dq, Output::dk, Output::dv, Output::dbias};
  for (const HeadMap map : {HeadMap::grouped, HeadMap::interleaved}) {
    c.problem.head_map = map;
    const std::string text = script(c, "torch:sdpa-math");
    const size_t imports = text.find("import torch"), normal = text.find("def philox");
    const size_t target = text.find("def target"), reference = text.find("def reference");
    ASSERT_NE(normal, text.npos);
    const std::string head = text.substr(0, imports) + text.substr(normal, target - normal);
    const auto with = [&](const std::string& spoil) {
      return run_script(head +
                        "def target():\n    found = {name: x for name, (x, _) in "
                        "reference().items()}\n" +
                        spoil + "    return found\n\n" + text.substr(reference));
    };
    const Ran good = with("");
    EXPECT_EQ(good.exit, 0) << good.output;
    EXPECT_NE(good.output.find("right: all of out, dq, dk, dv, dbias"), std::string::npos);
    const Ran bad = with("    found[\"dk\"][1, 1, 2, 3] += 1\n");
    EXPECT_EQ(bad.exit, 1);
    EXPECT_NE(bad.output.find("dk[1, 1, 2, 3] is "), std::string::npos) << bad.output;

    // The values themselves: "wrong" by nothing but the oracle's own.
    const Answer right = answer(c, make_inputs(c));
    std::string probe = head + text.substr(reference, text.find("np.seterr") - reference) +
                        "np.seterr(all='ignore')\nfound = reference()\n";
    for (const MoreAnswer& more : right.steps[0].more) {
      const bool by_layout = more.output != Output::dbias;
      probe += fmt::format("for x in found['{}'][0]{}.ravel(): print(repr(float(x)))\n",
                           name(more.output), by_layout ? ".swapaxes(1, 2)" : "");
    }
    const Ran printed = run_script(probe);
    ASSERT_EQ(printed.exit, 0) << printed.output;
    std::istringstream lines(printed.output);
    for (const MoreAnswer& more : right.steps[0].more)
      for (const double value : more.values) {
        double got = 0;
        ASSERT_TRUE(lines >> got);
        ASSERT_NEAR(got, value, 1e-12) << name(more.output);
      }
  }
}

/// On cases that the target is right on; with another scale in the reference it is not.
TEST_P(PythonRepro, ExitsOneWhileWrongAndZeroOnceRight) {
  const std::string target = GetParam(), package = target.substr(0, target.find(':'));
  if (run(python_interpreter() + " -c 'import " + package + "'").exit != 0)
    GTEST_SKIP() << "needs " << package;
  const bool needs_equal = target.find("GroupQuery") != target.npos;
  const bool needs_heads = target.find("MultiHead") != target.npos;
  int wrong_ones = 0;
  for (Case c : varied_cases()) {
    if (needs_heads) c.problem.num_kv_heads = c.problem.num_heads;
    if (needs_heads) c.problem.fully_masked = FullyMasked::any;
    if (needs_equal) {
      const bool allowed = !c.problem.mask.find("padding") && !c.problem.mask.find("boolean");
      if (!allowed) continue;
      c.problem.q_len = c.problem.kv_len;
      c.problem.head_dim = c.problem.head_dim_v = 8;
    }
    const std::string text = script(c, target);
    ASSERT_FALSE(text.empty());
    const Ran right = run_script(text);
    EXPECT_EQ(right.exit, 0) << one_line(c) << "\n" << right.output << text;
    if (++wrong_ones > 1) continue;
    const Ran wrong = run_script(spoiled(text));
    EXPECT_EQ(wrong.exit, 1) << one_line(c) << "\n" << wrong.output;
    EXPECT_NE(wrong.output.find("should be"), std::string::npos) << wrong.output;
  }
}

/// Of an issue's body, which leaves the blank ones out.
int64_t lines_in(const std::string& text) {
  std::istringstream lines(text);
  int64_t count = 0;
  for (std::string line; std::getline(lines, line);) count += line.empty() ? 0 : 1;
  return count;
}

struct PackageCase {
  std::string target, import;
  Case c;
};

/// A small case for each package that has an adapter, without a cache and with one.
std::vector<PackageCase> package_cases() {
  Case plain = samples::small_case(R"({"align":"top_left","rules":[{"rule":"causal"}]})");
  Problem& p = plain.problem;
  p.num_heads = p.num_kv_heads = 2;
  p.q_len = p.kv_len = 3;
  p.head_dim = p.head_dim_v = 2;
  p.fully_masked = FullyMasked::any;
  Case grouped = plain;
  grouped.problem.num_kv_heads = 1;
  Case padded = plain;
  padded.problem.mask.rules.push_back(
      {find_rule("padding"), {int64_t{1}, std::vector<int64_t>{3, 2}}});
  Case cached = plain;
  cached.problem.q_len = cached.problem.kv_len = 0;
  cached.cache = Cache{};
  cached.steps = {{StepOp::prefill, 3, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}};
  Case fixed = cached;
  fixed.cache = Cache{CacheKind::fixed, 6, 0};
  Case chunked = plain;
  chunked.problem.mask.rules.push_back({find_rule("chunk"), {int64_t{2}, int64_t{1}}});
  Case window = plain;
  window.problem.mask.rules.push_back({find_rule("window"), {int64_t{1}, int64_t{0}}});
  Case rolling = cached;
  rolling.problem.mask = window.problem.mask;
  Case memory = plain;
  memory.problem.memory_kv = 2;
  return {{"jax:dot-product-attention", "jax", grouped},
          {"jax:dot-product-attention", "jax", window},
          {"keras:jax", "keras, jax", plain},
          {"keras:torch", "keras, torch", padded},
          {"keras:numpy", "keras", plain},
          {"x-transformers:attention-plain", "x_transformers", grouped},
          {"x-transformers:attention-flash", "x_transformers", memory},
          {"x-transformers:attention-plain", "x_transformers", cached},
          {"transformers:llama-eager", "transformers, torch", grouped},
          {"transformers:llama-sdpa", "transformers, torch", padded},
          {"transformers:llama4-eager", "transformers, torch", chunked},
          {"transformers:mistral-sdpa", "transformers, torch", window},
          {"transformers:qwen2-eager", "transformers, torch", window},
          {"transformers:llama-sdpa", "transformers, torch", cached},
          {"transformers:mistral-sdpa", "transformers, torch", rolling},
          {"transformers:gpt_oss-eager", "transformers, torch", rolling},
          {"transformers:llama-eager", "transformers, torch", fixed}};
}

/// An interpreter that can import these: the tests' own, else that of the newest environment of the
/// package (`attnfuzz env create`). Empty: there is none.
std::string interpreter_with(const std::string& package, const std::string& imports) {
  std::vector<std::string> found;
  const char* envs = std::getenv("ATTNFUZZ_ENVS");
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(
           envs != nullptr ? std::string(envs) : attnfuzz_home() + "/envs", none))
    if (entry.path().filename().string().starts_with(package + "-"))
      found.push_back(entry.path().string() + "/bin/python");
  std::sort(found.begin(), found.end(), [](const std::string& a, const std::string& b) {
    return strverscmp(a.c_str(), b.c_str()) > 0;
  });
  found.insert(found.begin(), python_interpreter());
  for (const std::string& python : found)
    if (run(python + " -c 'import " + imports + "'").exit == 0) return python;
  return "";
}

TEST_F(ScriptTest, EveryPackageHasAShortProgramOfItsOwn) {
  constexpr int64_t most_lines = 30;
  std::map<std::string, std::string> interpreters;
  int run_ones = 0;
  for (const PackageCase& each : package_cases()) {
    const std::string text = script(each.c, each.target, "4.57.6");  // Transformers'
    ASSERT_NE(text.find("should be"), text.npos) << each.target << "\n" << text;
    EXPECT_LE(lines_in(text), most_lines) << each.target << "\n" << text;
    const bool first = !interpreters.count(each.import);
    const std::string package = each.target.substr(0, each.target.find(':'));
    if (first) interpreters[each.import] = interpreter_with(package, each.import);
    const std::string& python = interpreters[each.import];
    if (python.empty()) continue;
    const Ran right = run_script(text, python);
    EXPECT_EQ(right.exit, 0) << each.target << "\n" << right.output << text;
    ++run_ones;
    if (!first) continue;
    const Ran wrong = run_script(spoiled(text), python);
    EXPECT_EQ(wrong.exit, 1) << each.target << "\n" << wrong.output;
    EXPECT_NE(wrong.output.find("should be"), std::string::npos) << wrong.output;
  }
  if (run_ones == 0)
    GTEST_SKIP()
        << "needs jax, keras, x-transformers or transformers, here or in an `attnfuzz env`";
}

/// Caches that each target has, with the steps that they allow.
std::vector<Case> cached_cases(const std::string& target) {
  Case c = samples::cached_case();
  Problem& p = c.problem;
  p.head_dim = p.head_dim_v = 8;
  if (target == "onnxruntime:MultiHeadAttention") p.num_kv_heads = p.num_heads;
  c.steps = {{StepOp::prefill, 3, {}, {}, 0},
             {StepOp::decode, 1, {}, {}, 0},
             {StepOp::reorder, 0, {}, {1, 0}, 0},
             {StepOp::crop, 0, {}, {}, 2},
             {StepOp::append, 2, {}, {}, 0}};
  std::vector<Case> cases{c};
  const bool gqa = target == "onnxruntime:GroupQueryAttention";
  const Case window = samples::window_case();
  if (target != "onnxruntime:MultiHeadAttention") {
    cases.push_back(c);
    cases.back().problem.mask = window.problem.mask;
    cases.back().problem.mask.align = Align::top_left;
    cases.back().problem.layout = Layout::bshd;
  }
  if (!gqa) return cases;
  c.problem.sinks = true;
  c.cache = Cache{CacheKind::fixed, 12, 0};
  c.steps[0].lens = {2, 3};
  cases.push_back(c);
  c.cache = Cache{CacheKind::ring, 4, 0};
  c.steps.erase(c.steps.begin() + 3);  // a ring is not cropped
  c.steps[0].lens.clear();
  cases.push_back(c);
  return cases;
}

class PythonStepsRepro : public ScriptTest, public testing::WithParamInterface<const char*> {};

TEST_P(PythonStepsRepro, ExitsOneWhileWrongAndZeroOnceRight) {
  if (run(python_interpreter() + " -c 'import onnxruntime'").exit != 0)
    GTEST_SKIP() << "needs onnxruntime";
  for (const Case& c : cached_cases(GetParam())) {
    check(c, "test");
    const std::string text = script(c, GetParam());
    ASSERT_NE(text.find("should be"), text.npos) << "no script";
    const Ran right = run_script(text);
    EXPECT_EQ(right.exit, 0) << one_line(c) << "\n" << right.output << text;
    if (c != cached_cases(GetParam())[0]) continue;
    const Ran scale = run_script(spoiled(text));
    EXPECT_EQ(scale.exit, 1) << scale.output;
    EXPECT_NE(scale.output.find("should be"), std::string::npos) << scale.output;
    const Ran length = run_script(replaced(text, "[len(row) for", "[len(row) + 1 for"));
    EXPECT_EQ(length.exit, 1);
    EXPECT_NE(length.output.find("step 0: the cache holds [3, 3] tokens, should be [4, 4]"),
              std::string::npos)
        << length.output;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, PythonRepro,
                         testing::Values("torch:sdpa-math", "torch:sdpa-flash",
                                         "onnxruntime:MultiHeadAttention",
                                         "onnxruntime:GroupQueryAttention", "onnxruntime:Attention",
                                         "onnxruntime:Attention-25"));

INSTANTIATE_TEST_SUITE_P(Targets, PythonStepsRepro,
                         testing::Values("onnxruntime:MultiHeadAttention",
                                         "onnxruntime:GroupQueryAttention", "onnxruntime:Attention",
                                         "onnxruntime:Attention-25"));

}  // namespace
}  // namespace attnfuzz
