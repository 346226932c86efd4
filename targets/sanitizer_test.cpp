#include "targets/sanitizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "targets/cuda/emulated.h"

namespace attnfuzz {
namespace {

using Lines = std::vector<std::string>;

TEST(SanitizerReports, AnInvalidAccessKeepsWhereItWasAndWhatTheAddressIs) {
  EXPECT_EQ(
      sanitizer_reports("========= COMPUTE-SANITIZER\n"
                        "========= Invalid __global__ read of size 2 bytes\n"
                        "=========     at some_kernel(Params)+0x1f0 in some.cu:17\n"
                        "=========     by thread (3,0,0) in block (1,0,0)\n"
                        "=========     Address 0x7f00a000 is out of bounds\n"
                        "=========     and is 96 bytes before the nearest allocation at "
                        "0x7f00a060 of size 64 bytes\n"
                        "=========     Saved host backtrace up to driver entry point\n"
                        "=========         Host Frame: main [0x1234] in program\n"
                        "=========\n"
                        "========= ERROR SUMMARY: 1 error\n"),
      Lines{"Invalid __global__ read of size 2 bytes at some_kernel(Params)+# in some.cu:17 "
            "Address # is out of bounds and is 96 bytes before the nearest allocation at # of "
            "size 64 bytes"});
}

TEST(SanitizerReports, TheSameFromOtherThreadsIsToldOnce) {
  const std::string one =
      "========= Invalid __shared__ write of size 4 bytes\n"
      "=========     at kernel+0x10\n"
      "=========     by thread (0,0,0) in block (0,0,0)\n"
      "=========     Address 0x400 is out of bounds\n=========\n";
  std::string other = one;
  other.replace(other.find("(0,0,0)"), 7, "(9,0,0)");
  other.replace(other.find("0x400"), 5, "0x404");
  EXPECT_EQ(
      sanitizer_reports(one + other),
      Lines{"Invalid __shared__ write of size 4 bytes at kernel+# Address # is out of bounds"});
}

TEST(SanitizerReports, HazardsOfRacecheck) {
  EXPECT_EQ(sanitizer_reports("========= COMPUTE-SANITIZER\n"
                              "========= Error: Race reported between Write access at k+0x70 in "
                              "a.cu:5\n"
                              "=========     and Read access at k+0xa0 in a.cu:6 [96 hazards]\n"
                              "=========\n"
                              "========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 "
                              "warnings)\n"),
            Lines{"Race reported between Write access at k+# in a.cu:5 and Read access at k+# in "
                  "a.cu:6"});
}

TEST(SanitizerReports, NothingFoundIsNothing) {
  EXPECT_EQ(sanitizer_reports(""), Lines{});
  EXPECT_EQ(sanitizer_reports("what the program printed\n========= COMPUTE-SANITIZER\n"
                              "========= ERROR SUMMARY: 0 errors\n"),
            Lines{});
  EXPECT_EQ(sanitizer_reports("========= Program hit cudaErrorIllegalAddress (error 700) due to "
                              "\"an illegal memory access was encountered\"\n"
                              "=========     Saved host backtrace\n"),
            Lines{});
}

Case one_tile(int64_t kv_len) {
  Case c;
  c.problem.q_len = c.problem.kv_len = kv_len;
  return c;
}

TEST(StrictChecker, WhatTheToolLooksForIsAnError) {
  const Case c = one_tile(1);  // one key: right, though no barrier awaits it
  const auto open = [](const std::string& tool) {
    return with_strict_checker(cuda::open_emulated_mutant("mutant:cuda-tile-not-awaited"), tool);
  };
  const Outcome raced = open("racecheck")->run(c, make_inputs(c));
  EXPECT_EQ(raced.status, Status::error);
  EXPECT_NE(raced.text.find("Race reported between"), std::string::npos) << raced.text;
  EXPECT_EQ(open("memcheck")->run(c, make_inputs(c)).status, Status::ok);
}

TEST(Sanitized, WithoutComputeSanitizerItSaysWhatIsMissing) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  try {
    open_sanitized("./mine.so", "memcheck", {});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("expected compute-sanitizer on PATH"),
              std::string::npos);
  }
  setenv("PATH", path.c_str(), 1);
}

/// A stand-in for the tool: it says something of each worker's beginning but the first one's.
TEST(Sanitized, TheBeginningOfANewWorkerIsNoCasesFault) {
  std::string folder = (std::filesystem::temp_directory_path() / "attnfuzz-tool-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string tool = folder + "/compute-sanitizer", path = std::getenv("PATH");
  std::ofstream(tool) << "#!/bin/sh\n"
                         "while [ \"$1\" != --log-file ]; do shift; done\n"
                         "if [ -e $0.again ]; then\n"
                         "  printf '========= Invalid __global__ read\\n=========\\n' > $2\n"
                         "fi\n"
                         "touch $0.again\n"
                         "exec "
                      << ATTNFUZZ_HOSTILE_WORKER << " worker hostile:exit\n";
  std::filesystem::permissions(tool, std::filesystem::perms::owner_all);
  setenv("PATH", (folder + ":" + path).c_str(), 1);
  const auto target = open_sanitized("./mine.so", "memcheck", {});
  Case c = one_tile(1);
  c.data.seed = 1;  // see testdata/hostile_worker.cpp
  EXPECT_EQ(target->run(c, make_inputs(c)).status, Status::crash);
  c.data.seed = 2;
  const Outcome next = target->run(c, make_inputs(c));
  EXPECT_EQ(next.status, Status::ok) << next.text;
  setenv("PATH", path.c_str(), 1);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace attnfuzz
