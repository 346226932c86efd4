#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "oracle/build.h"
#include "targets/remote.h"

namespace attnfuzz {
namespace {

/// Adapters of the tests' own (python/tests/adapters); skips without NumPy.
class PythonTargets : public testing::Test {
 protected:
  void SetUp() override {
    setenv("ATTNFUZZ_ADAPTERS", (build::source_dir() + "/targets/python/tests/adapters").c_str(),
           1);
    const std::string probe = "'" + python_interpreter() + "' -c 'import numpy' 2>/dev/null";
    if (std::system(probe.c_str()) != 0)
      GTEST_SKIP() << "no NumPy for " << python_interpreter() << ": see tools/quickstart.sh";
  }
  void TearDown() override { unsetenv("ATTNFUZZ_ADAPTERS"); }
};

WorkerLimits quick() {
  WorkerLimits limits;
  limits.case_seconds = 1;
  return limits;
}

Case small_case(DType dtype, uint64_t seed = 0) {
  Case c;
  c.problem.batch = 2;
  c.problem.q_len = c.problem.kv_len = 3;
  c.problem.dtype = dtype;
  c.data.seed = seed;
  return c;
}

TEST_F(PythonTargets, EveryDtypeComesBackBitForBit) {
  const std::unique_ptr<Target> target = open_python_target("stub:echo");
  for (size_t k = 0; k < names_of<DType>.size(); ++k) {
    const Case c = small_case(static_cast<DType>(k));
    const Inputs inputs = make_inputs(c);
    const Outcome outcome = target->run(c, inputs);
    ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
    ASSERT_EQ(outcome.steps.size(), 1U);
    EXPECT_EQ(outcome.steps[0].out.dtype, c.problem.dtype);
    EXPECT_EQ(outcome.steps[0].out.shape, inputs.at("q").shape);
    EXPECT_EQ(outcome.steps[0].out.bytes, inputs.at("q").bytes);
  }
}

TEST_F(PythonTargets, WhatAnAdapterDoesBecomesAnOutcome) {
  struct Expected {
    std::string name;
    Status status;
    std::string text;
  };
  for (const auto& [name, status, text] :
       {Expected{"stub:raises", Status::error, "ValueError: size 8 does not match 2"},
        Expected{"stub:declines", Status::declined, "head_dim 1: see the manual, page 3"},
        Expected{"stub:exits", Status::crash, "exited with code 9"},
        Expected{"stub:aborts", Status::crash, "killed by SIGABRT"},
        Expected{"stub:hangs", Status::timeout, "no reply in 1 s"},
        Expected{"stub:integers", Status::error, "TypeError: the output's dtype is int64"}}) {
    const std::unique_ptr<Target> target = open_python_target(name, quick());
    const Case c = small_case(DType::f32);
    for (int k = 0; k < 2; ++k) {
      const Outcome outcome = target->run(c, make_inputs(c));
      EXPECT_EQ(outcome.status, status) << name;
      EXPECT_EQ(outcome.text.substr(0, text.size()), text) << name;
    }
  }
}

TEST_F(PythonTargets, AreToldHowManyThreadsToUse) {
  const std::unique_ptr<Target> target = open_python_target("stub:threads");
  EXPECT_TRUE(target->info().capabilities.has(Property::thread_invariant));
  const Case c = small_case(DType::f32);
  for (const int count : {1, 3, 1}) {
    target->use_threads(count);
    const Outcome outcome = target->run(c, make_inputs(c));
    ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
    EXPECT_EQ(outcome.steps[0].out.as<float>()[0], static_cast<float>(count));
  }
}

TEST_F(PythonTargets, WrongShapesAndTypesArePassedOn) {
  const std::unique_ptr<Target> target = open_python_target("stub:widens");
  const Case c = small_case(DType::f32);
  const Outcome outcome = target->run(c, make_inputs(c));
  ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
  EXPECT_EQ(outcome.steps[0].out.dtype, DType::f64);
  EXPECT_EQ(outcome.steps[0].out.shape, (Shape{2, 1, 3, 1, 1}));
}

TEST_F(PythonTargets, StepsBeforeAnErrorAreKept) {
  const std::unique_ptr<Target> target = open_python_target("stub:half");
  const Case c = small_case(DType::f32);
  const Outcome outcome = target->run(c, make_inputs(c));
  EXPECT_EQ(outcome.status, Status::error);
  ASSERT_EQ(outcome.steps.size(), 2U);
  EXPECT_EQ(outcome.steps[0].lengths, (std::vector<int64_t>{3, 3}));
  EXPECT_TRUE(outcome.steps[1].out.shape.empty());
}

TEST_F(PythonTargets, LargeOutputsMakeTheMemoryGrow) {
  const std::unique_ptr<Target> target = open_python_target("stub:large");
  const Case c = small_case(DType::f32);
  const Outcome outcome = target->run(c, make_inputs(c));
  ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
  const std::vector<double> values = outcome.steps[0].out.to_doubles();
  EXPECT_EQ(values.size(), size_t{3} << 20);
  EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](double x) { return x == 7; }));
}

TEST_F(PythonTargets, AreListedWithWhatIsMissing) {
  const std::vector<PythonTarget> all = list_python_targets();
  const auto missing = [&](std::string_view name) -> std::string {
    for (const PythonTarget& target : all)
      if (target.info.name == name) return target.missing;
    return "not listed";
  };
  EXPECT_EQ(missing("stub:echo"), "");
  EXPECT_EQ(missing("absent"), "not installed: no-such-distribution");
  EXPECT_EQ(missing("broken"), "adapter broken.py: RuntimeError: cannot load");
  EXPECT_EQ(missing("exits"), "adapter exits.py: SystemExit: no package");
  EXPECT_EQ(missing("unsendable").substr(0, 37), "adapter unsendable.py: ValueError: Ou");
}

TEST_F(PythonTargets, AnInterpreterThatListsNothingIsTold) {
  setenv("ATTNFUZZ_PYTHON", "/nonexist/python", 1);
  const std::vector<PythonTarget> all = list_python_targets();
  unsetenv("ATTNFUZZ_PYTHON");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(all[0].missing.starts_with("/nonexist/python does not list the adapters: "))
      << all[0].missing;
}

TEST_F(PythonTargets, OpeningWhatIsNotThereSaysWhy) {
  const auto message = [](const std::string& name) -> std::string {
    try {
      open_python_target(name);
    } catch (const InputError& e) {
      return e.what();
    }
    return {};
  };
  EXPECT_EQ(message("absent:x"), "absent:x: not installed: no-such-distribution");
  EXPECT_EQ(message("nothing:x"),
            "nothing:x: this package has no adapter; `attnfuzz targets` lists the targets that "
            "there are");
  EXPECT_EQ(message("stub:x").substr(0, 33), "stub:x: expected one of stub:echo");
  EXPECT_NE(message("broken:x").find("RuntimeError: cannot load"), std::string::npos);
}

TEST_F(PythonTargets, RunInTheEnvironmentThatTheirNameHas) {
  namespace fs = std::filesystem;
  const fs::path envs = fs::path(testing::TempDir()) / "attnfuzz_envs";
  fs::create_directories(envs / "here" / "bin");
  const fs::path python = envs / "here" / "bin" / "python";
  std::ofstream(python) << "#!/bin/sh\nexec '" << python_interpreter() << "' \"$@\"\n";
  fs::permissions(python, fs::perms::owner_all);
  setenv("ATTNFUZZ_ENVS", envs.c_str(), 1);
  const auto message = []() -> std::string {
    try {
      open_python_target("stub:echo@here");
    } catch (const InputError& e) {
      return e.what();
    }
    return {};
  };
  EXPECT_EQ(
      message(),
      "stub:echo@here: environment not installed: here (attnfuzz env create here)");  // half made
  std::ofstream(envs / "here" / "stamp") << "made\n";
  const std::unique_ptr<Target> target = open_python_target("stub:echo@here");
  EXPECT_EQ(target->info().name, "stub:echo@here");
  const Case c = small_case(DType::f32);
  EXPECT_EQ(target->run(c, make_inputs(c)).status, Status::ok);
  unsetenv("ATTNFUZZ_ENVS");
  fs::remove_all(envs);
}

}  // namespace
}  // namespace attnfuzz
