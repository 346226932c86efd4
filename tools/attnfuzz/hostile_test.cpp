#include "targets/hostile/hostile.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fuzz/campaign.h"
#include "oracle/build.h"
#include "targets/remote.h"

namespace attnfuzz {

void PrintTo(const HostileTarget& hostile, std::ostream* out) {
  *out << hostile.name;
}

namespace {

class Hostiles : public ::testing::TestWithParam<HostileTarget> {};

TEST_P(Hostiles, BecomeOneFindingAndTheCampaignGoesOn) {
  const HostileTarget& hostile = GetParam();
  WorkerLimits limits;
#ifdef __SANITIZE_ADDRESS__
  limits.memory_bytes = uint64_t{2} << 30;  // its shadow counts, in a process left behind too
#else
  limits.memory_bytes = uint64_t{512} << 20;
#endif
  // Only what never ends by itself meets the time limit; a busy machine may take its time.
  const bool ends = hostile.failure != "timeout", cheap = ends && hostile.failure != "memory";
  limits.case_seconds = ends ? 120 : 1;
  const auto target =
      open_isolated(std::string(hostile.name), limits, build::binary_dir() + "/attnfuzz");
  CampaignOptions options;
  options.seed = 1;
  options.cases = cheap ? 8 : 5;
  options.max_shrink_tries = cheap ? 40 : 1;
  std::vector<Finding> findings;
  const CampaignStats stats =
      run_campaign(*target, options, {{}, [&](const Finding& f) { findings.push_back(f); }});
  ASSERT_EQ(findings.size(), 1U) << findings.back().last.verdict.detail;
  EXPECT_EQ(name(findings[0].last.verdict.failure), hostile.failure)
      << findings[0].last.verdict.detail;
  EXPECT_GT(findings[0].shrunk.c.problem.softcap, 0);
  EXPECT_EQ(stats.cases, options.cases);
  EXPECT_GE(stats.failed, 2U);
  EXPECT_EQ(stats.passed + stats.failed, stats.cases);
  EXPECT_EQ(stats.signatures.at(findings[0].signature), stats.failed);
}

INSTANTIATE_TEST_SUITE_P(Table, Hostiles, ::testing::ValuesIn(hostile_targets()),
                         [](const auto& test) {
                           std::string name(test.param.name.substr(test.param.name.find(':') + 1));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace attnfuzz
