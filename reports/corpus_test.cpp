#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "oracle/build.h"
#include "oracle/case_io.h"
#include "reports/expectation.h"

namespace attnfuzz {
namespace {

std::vector<std::filesystem::path> corpus_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(build::source_dir() + "/corpus"))
    if (entry.path().string().ends_with(".case.json")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

bool is_builtin(std::string_view target) {
  const auto table = builtin_targets();
  return std::any_of(table.begin(), table.end(),
                     [&](const BuiltinTarget& entry) { return entry.name == target; });
}

TEST(Corpus, FilesAreInCanonicalForm) {
  for (const auto& file : corpus_files()) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_EQ(write_case(parse_case(text.str(), file.string())), text.str()) << file;
  }
}

TEST(Corpus, FilesTellWhatTheyShow) {
  EXPECT_FALSE(corpus_files().empty());
  for (const auto& file : corpus_files()) {
    const CaseFile content = read_case(file.string());
    EXPECT_FALSE(content.about.empty()) << file;
    EXPECT_FALSE(content.expect.empty()) << file;
  }
}

TEST(Corpus, AnExpectedFailureOfAReleaseSaysWhichOne) {
  for (const auto& file : corpus_files())
    for (const auto& [target, expected] : read_case(file.string()).expect)
      EXPECT_TRUE(target.find('@') == std::string::npos || expected == "pass" ||
                  expected.find(' ') != std::string::npos)
          << file << " " << target << ": add the cause or signature behind \"" << expected << '"';
}

TEST(Corpus, BuiltInTargetsDoAsExpected) {
  for (const auto& file : corpus_files()) {
    const CaseFile content = read_case(file.string());
    for (const auto& [target, expected] : content.expect) {
      if (!is_builtin(target)) continue;
      const std::unique_ptr<Target> opened = open_target(target);
      EXPECT_EQ(opened->info().capabilities.rejection_reason(content.c), "")
          << file << " " << target;
      const Finding finding =
          finding_of(opened->info(), 0, 0, {content.c, examine(*opened, content.c)});
      EXPECT_TRUE(meets(expected, finding))
          << file << " " << target << ": expected \"" << expected << "\", found \""
          << expectation_of(finding) << "\": " << finding.first.verdict.detail;
    }
  }
}

}  // namespace
}  // namespace attnfuzz
