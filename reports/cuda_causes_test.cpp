#include <gtest/gtest.h>

#include <algorithm>

#include "fuzz/campaign.h"
#include "reports/diagnose.h"
#include "targets/cuda/emulated.h"

namespace attnfuzz {
namespace {

TEST(CudaCauses, EachMutantIsFoundShrunkAndItsCauseNamedFirst) {
  for (const cuda::Mutant& mutant : cuda::emulated_mutants()) {
    const auto target = cuda::open_emulated_mutant("mutant:" + std::string(mutant.name));
    std::vector<Finding> findings;
    CampaignOptions options;
    options.seed = 1;
    options.cases = 10000;
    options.stop_after = 1;
    CampaignEvents events;
    events.finding = [&](const Finding& finding) { findings.push_back(finding); };
    run_campaign(*target, options, events);
    ASSERT_EQ(findings.size(), 1U) << mutant.name;
    EXPECT_TRUE(findings.front().shrunk.minimal) << mutant.name;
    std::vector<Cause> causes = diagnose(findings.front());
    // What was measured may come first; the cause that has a name is what the table is about.
    std::erase_if(causes, [](const Cause& each) { return each.name.starts_with("measured-"); });
    ASSERT_FALSE(causes.empty()) << mutant.name;
    EXPECT_EQ(causes.front().name, mutant.causes)
        << mutant.name << ": " << one_line(findings.front().shrunk.c) << ": "
        << findings.front().last.verdict.detail;
  }
}

}  // namespace
}  // namespace attnfuzz
