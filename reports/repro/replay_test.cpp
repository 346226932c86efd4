#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "reports/sample_findings.h"
#include "reports/temporary_folder.h"

namespace attnfuzz {
namespace {

/// A stand-in for the program that checks how it is called.
TEST(ReplayRepro, HandsTheCaseToAttnfuzz) {
  const TemporaryFolder folder;
  const std::filesystem::path& dir = folder.path();
  TargetInfo target;
  target.name = "cpu:it's mine";
  const Case c = samples::cached_case();
  const Repro repro = make_repro(c, target);
  EXPECT_EQ(repro.file_name, "repro.sh");
  std::ofstream(dir / "repro.sh") << repro.text;
  std::ofstream(dir / "case.json") << write_case(c);
  std::ofstream(dir / "attnfuzz") << "#!/bin/sh\n"
                                     "[ \"$1 $3 $4\" = \"replay -t cpu:it's mine\" ] || exit 9\n"
                                     "cmp -s \"$2\" \"$(dirname \"$0\")/case.json\" || exit 8\n"
                                     "exit $EXIT\n";
  std::filesystem::permissions(dir / "attnfuzz", std::filesystem::perms::owner_all);
  for (const int exit : {0, 1}) {
    const std::string command = "EXIT=" + std::to_string(exit) + " ATTNFUZZ='" + dir.string() +
                                "/attnfuzz' sh '" + dir.string() + "/repro.sh'";
    const int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), exit);
  }
}

TEST(ReplayRepro, TellsWhyAPackageHasNoProgramOfItsOwn) {
  Case c = samples::small_case();
  c.problem.kind = ProblemKind::gated_delta;
  TargetInfo target;
  target.name = "transformers:qwen3_next";
  const Repro repro = make_repro(c, target);
  EXPECT_EQ(repro.file_name, "repro.sh");
  EXPECT_NE(repro.text.find("is written for gated_delta attention: this one needs attnfuzz"),
            repro.text.npos)
      << repro.text;
  target.name = "specimen:x";
  EXPECT_EQ(make_repro(c, target).text.find("No program"), repro.text.npos);
}

}  // namespace
}  // namespace attnfuzz
