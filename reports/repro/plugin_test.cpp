#include <gtest/gtest.h>

#include <fstream>

#include "oracle/build.h"
#include "reports/repro/run_command.h"
#include "reports/sample_findings.h"
#include "reports/temporary_folder.h"

namespace attnfuzz {
namespace {

class PluginRepro : public testing::Test {
 protected:
  /// Compiles a file of the checkout.
  std::string plugin(const std::string& source, const std::string& flags = "") {
    return built(flags + " " + build::source_dir() + "/" + source);
  }

  /// A target whose attention() has these lines.
  std::string copy_plugin(const std::string& lines) {
    const std::string source = (dir_ / "copy.cpp").string();
    std::ofstream(source) << R"(#include <stdlib.h>
#include <unistd.h>
#include <cstring>
#include "targets/attnfuzz_target.h"
static attnfuzz_status run(const attnfuzz_call* call) {
  )" << lines << R"(
  return ATTNFUZZ_OK;
}
static const attnfuzz_target targets[] = {{"copy", "1", "", "{}", run, nullptr, nullptr, nullptr, nullptr}};
static const attnfuzz_target_list list = {ATTNFUZZ_ABI_VERSION, 1, targets};
extern "C" const attnfuzz_target_list* attnfuzz_plugin(void) { return &list; }
)";
    return built(source);
  }

  Ran build_and_run(const std::string& program) {
    std::ofstream(dir_ / "repro.cpp") << program;
    const std::string out = (dir_ / "repro").string();
    const Ran built = run("c++ -std=c++17 -Wall -Wextra -Werror -I " + build::source_dir() + " " +
                          out + ".cpp -o " + out + " -ldl");
    EXPECT_EQ(built.exit, 0) << built.output;
    return run(out);
  }

  static std::string program(const Case& c, const std::string& name) {
    TargetInfo target;
    target.name = name;
    target.version = "1.0";
    const Repro repro = make_repro(c, target);
    EXPECT_EQ(repro.file_name, "repro.cpp");
    return repro.text;
  }

  TemporaryFolder folder_;
  const std::filesystem::path& dir_ = folder_.path();

 private:
  std::string built(const std::string& arguments) {
    const std::string file = (dir_ / "plugin.so").string();
    const Ran done = run("c++ -std=c++17 -shared -fPIC -I " + build::source_dir() + " " +
                         arguments + " -o " + file);
    EXPECT_EQ(done.exit, 0) << done.output;
    return file;
  }
};

TEST_F(PluginRepro, ExitsOneWhileWrongAndZeroOnceRight) {
  Case c = samples::small_case(R"({"align":"top_left","rules":[{"rule":"causal"}]})");
  c.problem.q_len = c.problem.kv_len = 3;
  c.problem.head_dim = c.problem.head_dim_v = 4;
  c.problem.layout = Layout::bshd;
  const std::string file = plugin("targets/example/my_attention.cpp");
  const std::string text = program(c, file + ":my_attention");
  const Ran right = build_and_run(text);
  EXPECT_EQ(right.exit, 0) << right.output;
  std::string other = text;  // another scale than the answer's
  const std::string scale = "numbers[\"scale\"] = 0.5";
  ASSERT_NE(other.find(scale), other.npos);
  other.replace(other.find(scale), scale.size(), "numbers[\"scale\"] = 0.7");
  const Ran wrong = build_and_run(other);
  EXPECT_EQ(wrong.exit, 1) << wrong.output;
  EXPECT_NE(wrong.output.find("should be"), std::string::npos) << wrong.output;
}

TEST_F(PluginRepro, AnErrorShowsItsText) {
  Case c = samples::small_case();
  c.problem.q_len = c.problem.kv_len = 2;
  c.problem.head_dim = c.problem.head_dim_v = 2;
  c.problem.dtype = DType::f64;
  const Ran ran = build_and_run(program(c, plugin("targets/example/my_attention.cpp")));
  EXPECT_EQ(ran.exit, 1);
  EXPECT_NE(ran.output.find("only f32 is implemented"), std::string::npos) << ran.output;
}

TEST_F(PluginRepro, StepsOnACache) {
  Case c = samples::cached_case();
  Problem& p = c.problem;
  p.batch = p.num_heads = p.num_kv_heads = p.head_dim = p.head_dim_v = 1;
  c.steps.push_back({StepOp::crop, 0, {}, {}, 3});
  c.steps.push_back({StepOp::append, 2, {}, {}, 0});
  const char* source = "reports/testdata/cache_plugin.cpp";
  const Ran right = build_and_run(program(c, plugin(source)));
  EXPECT_EQ(right.exit, 0) << right.output;
  const Ran wrong = build_and_run(program(c, plugin(source, "-DWRONG")));
  EXPECT_EQ(wrong.exit, 1);
  EXPECT_EQ(wrong.output, "step 1: row 0 holds 9 tokens, should be 8\n");
}

TEST_F(PluginRepro, LargeCasesAreReplayed) {
  TargetInfo target;
  target.name = "./mine.so";
  Case c = samples::small_case();
  c.problem.kv_len = 500;
  EXPECT_EQ(make_repro(c, target).file_name, "repro.sh");
}

/// A target that gives the right answer and does something else besides.
TEST_F(PluginRepro, ARightOutputIsNotEnough) {
  Case c = samples::small_case();
  Problem& p = c.problem;
  p.batch = p.num_heads = p.num_kv_heads = p.q_len = p.kv_len = p.head_dim = 1;  // out is v
  p.head_dim_v = 4;
  const std::pair<const char*, const char*> rows[] = {
      {"", "right"},
      {"y[4] = 0;", "writes beside out\n"},
      {"y[-1] = 0;", "writes beside out\n"},
      {"static_cast<float*>(call->tensor(call, \"k\")->data)[0] += 1;",
       "writes beside k, or to it"},
      {"_exit(0);", "ends the process with code 0"},
      {"abort();", "killed by signal 6"},
      {"for (volatile int k = 0; k == 0;) {}", "does not return in 1 s"},
  };
  for (const auto& [what, says] : rows) {
    const std::string file = copy_plugin(
        std::string("float* y = static_cast<float*>(call->tensor(call, \"out\")->data);\n"
                    "  std::memcpy(y, call->tensor(call, \"v\")->data, 16);\n  ") +
        what);
    std::string text = program(c, file);
    text.replace(text.find("seconds = 20"), 12, "seconds = 1");
    const Ran ran = build_and_run(text);
    EXPECT_EQ(ran.exit, *what == '\0' ? 0 : 1) << what << ran.output;
    EXPECT_NE(ran.output.find(says), std::string::npos) << what << ran.output;
  }
}

/// 16- and 8-bit elements are decoded by the program itself: its answer must be right to itself.
TEST_F(PluginRepro, SmallFloats) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::e4m3, DType::e5m2}) {
    Case c = samples::small_case();
    Problem& p = c.problem;
    p.batch = p.num_heads = p.num_kv_heads = p.q_len = 1;
    p.kv_len = 1;  // out is v
    p.head_dim = 1;
    p.head_dim_v = 4;
    p.dtype = dtype;
    const std::string file = copy_plugin(
        "const DLTensor *v = call->tensor(call, \"v\"), *out = call->tensor(call, \"out\");\n"
        "  std::memcpy(out->data, v->data, 4 * v->dtype.bits / 8);");
    const Ran right = build_and_run(program(c, file));
    EXPECT_EQ(right.exit, 0) << name(dtype) << right.output;
  }
}

}  // namespace
}  // namespace attnfuzz
