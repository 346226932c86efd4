#include "targets/zoo/zoo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "fuzz/campaign.h"
#include "fuzz/generate.h"
#include "fuzz/judge.h"
#include "fuzz/measure/bug.h"
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

/// Has two bugs: what the first mutant gets wrong, it answers; else the second answers.
class Both : public Target {
 public:
  Both(std::string_view first, std::string_view second)
      : first_(open_mutant("mutant:" + std::string(first))),
        second_(open_mutant("mutant:" + std::string(second))),
        info_(first_->info()) {}
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override {
    Outcome outcome = first_->run(c, inputs);
    const Precision precision = info_.capabilities.precision_of(c.problem.dtype);
    const std::vector<std::string> none;
    const bool wrong = judge(c, inputs, precision, outcome, &none).failed();
    return wrong ? outcome : second_->run(c, inputs);
  }

 private:
  std::unique_ptr<Target> first_, second_;
  TargetInfo info_;
};

std::optional<Finding> first_finding(Target& target) {
  std::optional<Finding> first;
  CampaignOptions options;
  options.seed = 1;
  options.stop_after = 1;
  run_campaign(target, options, {{}, [&](const Finding& finding) { first = finding; }});
  return first;
}

/// Pairs are of one part of a kernel, where measured rules are likest.
TEST(Zoo, TwoBugsInOneTargetAreNotOneFinding) {
  const std::pair<std::string_view, std::string_view> pairs[] = {
      {"window-left-plus-one", "window-right-ignored"},
      {"boolean-first-head", "boolean-transposed"},
      {"softcap-not-multiplied", "scale-twice"},
      {"causal-one-more", "bias-transposed"}};
  for (size_t n = 0; n < std::size(pairs); n += attnfuzz::testing::each_nth) {
    const auto& [first, second] = pairs[n];
    const std::optional<Finding> a = first_finding(*open_mutant("mutant:" + std::string(first))),
                                 b = first_finding(*open_mutant("mutant:" + std::string(second)));
    ASSERT_TRUE(a && b) << first << " and " << second;
    const measure::Bug bugs[] = {measure::bug_of(*a)};
    EXPECT_FALSE(measure::is_same(bugs[0], measure::bug_of(*b))) << first << " and " << second;
    Both target(first, second);
    constexpr double seconds = 2;
    EXPECT_EQ(measure::same_rule(target, *b, bugs, seconds), "") << first << " and " << second;
  }
}

}  // namespace
}  // namespace attnfuzz::zoo
