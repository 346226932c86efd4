#include <gtest/gtest.h>

#include <algorithm>

#include "fuzz/campaign.h"
#include "oracle/each_nth.h"
#include "reports/diagnose.h"
#include "targets/cuda/emulated.h"

namespace attnfuzz {
namespace {

/// What is said of the mutant's first failure in a campaign with this seed.
std::vector<Cause> causes_of(Target& target, uint64_t seed) {
  std::vector<Finding> findings;
  CampaignOptions options;
  options.seed = seed;
  options.cases = 10000;
  options.stop_after = 1;
  CampaignEvents events;
  events.finding = [&](const Finding& finding) { findings.push_back(finding); };
  run_campaign(target, options, events);
  if (findings.size() != 1) return {};
  EXPECT_TRUE(findings.front().shrunk.minimal);
  return diagnose(findings.front());
}

TEST(CudaCauses, EachMutantIsFoundShrunkAndItsCauseNamedFirst) {
  int n = 0;
  for (const cuda::Mutant& mutant : cuda::emulated_mutants()) {
    if (n++ % testing::each_nth != 0) continue;
    SCOPED_TRACE(mutant.name);
    const auto target = cuda::open_emulated_mutant("mutant:" + std::string(mutant.name));
    std::vector<Cause> causes;
    // The first failure may be one of which only a measurement speaks: a kernel that reads beyond
    // its tile reads, of a small problem, what lies inside it.
    for (uint64_t seed = 1; seed <= 3 && causes.empty(); ++seed) {
      causes = causes_of(*target, seed);
      ASSERT_FALSE(causes.empty());
      std::erase_if(causes, [](const Cause& each) {
        return each.name.starts_with("measured-") || each.name.starts_with("seen-");
      });
    }
    ASSERT_FALSE(causes.empty());
    EXPECT_EQ(causes.front().name, mutant.causes);
  }
}

}  // namespace
}  // namespace attnfuzz
