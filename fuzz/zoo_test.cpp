#include "targets/zoo/zoo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "fuzz/campaign.h"
#include "fuzz/generate.h"
#include "fuzz/judge.h"
#include "fuzz/testing.h"

namespace attnfuzz::zoo {
namespace {

/// The first of so many cases that fails, with what is wrong; none.
struct Failure {
  uint64_t index;
  std::string words;
};
std::optional<Failure> first_failure(Target& target, uint64_t cases) {
  const Generator generator(target.info().capabilities);
  for (uint64_t index = 0; index < cases; ++index) {
    const Case c = generator(*seeded_draw(1, index));
    const Inputs inputs = make_inputs(c);
    const Precision precision = target.info().capabilities.precision_of(c.problem.dtype);
    const Verdict verdict = judge(c, inputs, precision, target.run(c, inputs));
    if (verdict.failed()) return Failure{index, one_line(c) + ": " + verdict.detail};
  }
  return {};
}

TEST(Zoo, KernelsWithNothingWrongAreRight) {
  for (size_t k = 0; k <= static_cast<size_t>(Kernel::ring_cache); ++k) {
    for (const auto& [build, cases] : {std::pair{Build::small, 400}, {Build::served, 60}}) {
      const std::unique_ptr<Target> target = open_clean(static_cast<Kernel>(k), build);
      const std::optional<Failure> failure = first_failure(*target, static_cast<uint64_t>(cases));
      EXPECT_FALSE(failure) << target->info().name << " " << failure->words;
    }
  }
}

TEST(Zoo, EveryMutantHasItsOwnNameAndIsWrongSomewhere) {
  std::set<std::string_view> names;
  EXPECT_GE(mutants().size(), 120U);
  for (const Mutant& mutant : mutants()) {
    EXPECT_TRUE(names.insert(mutant.name).second) << mutant.name;
    if (names.size() % attnfuzz::testing::each_nth != 0) continue;
    EXPECT_TRUE(first_failure(*open(mutant), 3000)) << mutant.name;
  }
}

/// Mistakes of a cache whose output has a meaning, in the first case that shows them.
TEST(Zoo, CachesThatLoseTokensHaveMeanings) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"ring-stuck", "ring-stuck"},
      {"dense-grow-loses-last", "cache-growing-loses-last"},
      {"side-ignored", "ragged-side-ignored"},
      {"paged-tail-full", "empty-slot-seen"}};
  for (const auto& [mutant, meaning] : rows) {
    CampaignOptions options;
    options.seed = 1;
    options.stop_after = 1;
    std::vector<std::string> fits;
    run_campaign(*open_mutant("mutant:" + std::string(mutant)), options,
                 {{}, [&](const Finding& finding) {
                    for (const Fault* fit : finding.last.verdict.fits) fits.emplace_back(fit->name);
                  }});
    EXPECT_TRUE(std::ranges::find(fits, meaning) != fits.end()) << mutant;
  }
}

}  // namespace
}  // namespace attnfuzz::zoo
