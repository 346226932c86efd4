#include <gtest/gtest.h>

#include "reports/report.h"
#include "reports/sample_findings.h"
#include "reports/story.h"

namespace attnfuzz {
namespace {

Repro repro_of(const std::string& name) {
  TargetInfo target;
  target.name = name;
  return make_repro(samples::small_case(), target);
}

TEST(FunctionRepro, ImportsTheFunctionByItsName) {
  const Repro repro = repro_of("python:mine.attention:Fast.run");
  EXPECT_EQ(repro.file_name, "repro.py");
  EXPECT_NE(repro.text.find("FUNCTION = attnfuzz.load(\"mine.attention:Fast.run\")"),
            std::string::npos)
      << repro.text;
}

TEST(FunctionRepro, LeavesAFunctionWithoutANameToTheReader) {
  for (const char* name : {"python:__main__:attention", "python:mine:<lambda>",
                           "python:mine:make.<locals>.attention", "python:mine"})
    EXPECT_NE(repro_of(name).text.find("FUNCTION = ...  #"), std::string::npos) << name;
}

TEST(FunctionRepro, ReplayIsThatOfThePythonPackage) {
  Finding finding = samples::error_finding(samples::small_case(), "no");
  finding.target = "python:mine:attention";
  EXPECT_EQ(replay_command(finding, "case.json"),
            "python -m attnfuzz 'mine:attention' --replay case.json");
}

}  // namespace
}  // namespace attnfuzz
