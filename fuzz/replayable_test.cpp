#include "fuzz/replayable.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fuzz/jobs.h"
#include "fuzz/reach/sequence.h"
#include "oracle/each_nth.h"

namespace attnfuzz {
namespace {

/// Right, but for cases that fail, or only have another bit: what `spoils` says of a case and of
/// those that the same process ran before.
class Keeping final : public Target {
 public:
  using Spoils = std::function<bool(const std::vector<Case>& before, const Case& c)>;
  explicit Keeping(Spoils spoils, bool bit = false)
      : naive_(open_target("cpu:dense-cache")), spoils_(spoils), bit_(bit) {}
  const TargetInfo& info() const override { return naive_->info(); }
  Outcome run(const Case& c, const Inputs& inputs) override {
    const bool spoilt = spoils_(before_, c);
    before_.push_back(c);
    if (spoilt && !bit_) return {Status::error, "stale", {}};
    Outcome outcome = naive_->run(c, inputs);
    for (StepOutput& step : outcome.steps)
      if (spoilt && !step.out.bytes.empty()) step.out.bytes[0] ^= std::byte{1};
    return outcome;
  }
  bool restart() override {
    before_.clear();
    return true;
  }

 private:
  std::unique_ptr<Target> naive_;
  Spoils spoils_;
  bool bit_;
  std::vector<Case> before_;
};

bool has(const Case& c, StepOp op) {
  return std::any_of(c.steps.begin(), c.steps.end(), [&](const Step& s) { return s.op == op; });
}

/// Every other run of a case in a row, once the process has run a case of another kind.
bool wrong_again(const std::vector<Case>& before, const Case& c) {
  const auto other =
      std::find_if(before.rbegin(), before.rend(), [&](const Case& b) { return b != c; });
  return (other - before.rbegin()) % 2 == 1 && !has(c, StepOp::crop) &&
         std::any_of(before.begin(), before.end(),
                     [](const Case& b) { return has(b, StepOp::crop); });
}

std::vector<Finding> run(Target& target, uint64_t cases) {
  CampaignOptions options;
  options.seed = 3;
  options.cases = cases;
  std::vector<Finding> findings;
  run_campaign(target, options, {{}, [&](const Finding& f) { findings.push_back(f); }});
  return findings;
}

/// A cache that a reset leaves as it is, in this case's process and for all later ones.
TEST(Replayable, WhatAFailureLeavesBehindDoesNotLeadTheShrinkerAstray) {
  Keeping target([](const std::vector<Case>& before, const Case& c) {
    return has(c, StepOp::reset) || std::any_of(before.begin(), before.end(), [](const Case& b) {
             return has(b, StepOp::reset);
           });
  });
  const std::vector<Finding> findings = run(target, 40);
  ASSERT_FALSE(findings.empty());
  const Finding& f = findings.front();
  EXPECT_TRUE(has(f.shrunk.c, StepOp::reset)) << "a case that passes in a new process";
  EXPECT_TRUE(f.before.empty());
  EXPECT_TRUE(f.learned.alone);
  EXPECT_TRUE(f.shrunk.minimal);
  EXPECT_LE(f.shrunk.c.steps.size(), 2U) << one_line(f.shrunk.c);
}

/// A memory that the number of runs fills, whatever they are.
TEST(Replayable, WhatPassingCasesLeaveBehindDoesNotEither) {
  Keeping target([](const std::vector<Case>& before, const Case& c) {
    return before.size() > 20 || has(c, StepOp::reset);
  });
  const std::vector<Finding> findings = run(target, 15);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_TRUE(has(findings[0].shrunk.c, StepOp::reset));
  EXPECT_LE(findings[0].shrunk.c.steps.size(), 2U) << one_line(findings[0].shrunk.c);
}

/// A mask cached by the head size alone.
TEST(Replayable, ACaseThatFailsAfterAnotherComesWithIt) {
  const auto causal = [](const Case& c) { return !c.problem.mask.rules.empty(); };
  Keeping target([&](const std::vector<Case>& before, const Case& c) {
    return !causal(c) && std::any_of(before.begin(), before.end(), causal);
  });
  const std::vector<Finding> findings = run(target, 60);
  ASSERT_EQ(findings.size(), 1U) << "one mistake, one finding";
  const Finding& f = findings.front();
  ASSERT_EQ(f.before.size(), 1U) << "the fewest cases that are needed";
  EXPECT_TRUE(causal(f.before[0]));
  EXPECT_FALSE(causal(f.shrunk.c));
  EXPECT_FALSE(f.learned.alone);
  EXPECT_TRUE(f.shrunk.minimal);
  EXPECT_EQ(f.shrunk.c.problem.num_heads, 1);

  After after(target, f.before);
  after.restart();
  EXPECT_TRUE(examine(after, f.shrunk.c).verdict.failed());
  target.restart();
  EXPECT_FALSE(examine(target, f.shrunk.c).verdict.failed());
}

TEST(Replayable, WhatNothingBringsBackIsNondeterminism) {
  int runs = 0;
  Keeping target([&](const std::vector<Case>&, const Case&) { return ++runs % 97 == 0; });
  const std::vector<Finding> findings = run(target, 300);
  ASSERT_FALSE(findings.empty());
  for (const Finding& f : findings) {
    EXPECT_EQ(f.last.verdict.failure, FailureKind::nondeterminism) << f.last.verdict.detail;
    EXPECT_TRUE(f.before.empty());
  }
  const std::string& detail = findings[0].last.verdict.detail;
  EXPECT_EQ(detail, "the case failed in one process (stale) and passed in a new one");
}

TEST(Replayable, NondeterminismThatAProcessKeepsComesWithTheCaseBefore) {
  Keeping target(wrong_again, true);
  const std::vector<Finding> findings = run(target, 100);
  ASSERT_EQ(findings.size(), 1U);
  const Finding& f = findings.front();
  EXPECT_EQ(f.last.verdict.failure, FailureKind::nondeterminism) << f.last.verdict.detail;
  ASSERT_EQ(f.before.size(), 1U);
  EXPECT_TRUE(has(f.before[0], StepOp::crop));
  EXPECT_FALSE(f.learned.alone);
}

TEST(Replayable, ARelationIsSoughtAfterEarlierCasesWhateverTheProcesses) {
  CampaignOptions options;
  options.cases = 60;
  options.relations = {find_relation("repeat")};
  for (const int jobs : {1, 2}) {
    int relations = 0;
    for (options.seed = 3; options.seed < 6; ++options.seed) {
      std::vector<Finding> findings;
      run_campaign_jobs([] { return std::make_unique<Keeping>(wrong_again, true); }, options, jobs,
                        {{}, [&](const Finding& f) { findings.push_back(f); }});
      ASSERT_EQ(findings.size(), 1U) << jobs;
      EXPECT_EQ(findings[0].before.size(), 1U) << findings[0].last.verdict.detail;
      relations += findings[0].last.verdict.failure == FailureKind::relation;
    }
    EXPECT_GT(relations, 0) << jobs;
  }
}

TEST(Replayable, TheSameFromSeveralProcesses) {
  const auto open = [] {
    return std::make_unique<Keeping>([](const std::vector<Case>& before, const Case& c) {
      return !has(c, StepOp::crop) && std::any_of(before.begin(), before.end(), [](const Case& b) {
        return has(b, StepOp::crop);
      });
    });
  };
  CampaignOptions options;
  options.seed = 3;
  options.cases = 60;
  std::vector<std::string> signatures[2];
  for (const int jobs : {1, 2})
    run_campaign_jobs(open, options, jobs, {{}, [&](const Finding& f) {
                                              EXPECT_EQ(f.before.size(), 1U);
                                              signatures[jobs - 1].push_back(f.signature);
                                            }});
  EXPECT_EQ(signatures[0].size(), 1U);
  EXPECT_EQ(signatures[0], signatures[1]);
}

/// A state that one case leaves, and that one some hundreds of cases later meets.
TEST(Replayable, ACaseIsTracedHoweverFarBackItIs) {
  constexpr int apart = 300 / testing::each_nth / 3 * 3;  // so one of three processes runs both
  constexpr int cases = apart + 20;
  Sequence sequence(open_target("cpu:dense-cache")->info().capabilities, 3);
  const auto seed_of = [&](uint64_t index) { return sequence(index).data.seed; };
  const uint64_t leaves = seed_of(10), meets = seed_of(10 + apart);
  const auto open = [&] {
    return std::make_unique<Keeping>([=](const std::vector<Case>& before, const Case& c) {
      return c.data.seed == meets && std::any_of(before.begin(), before.end(), [&](const Case& b) {
               return b.data.seed == leaves;
             });
    });
  };
  const auto expect_traced = [&](const std::vector<Finding>& findings) {
    ASSERT_EQ(findings.size(), 1U);
    ASSERT_EQ(findings[0].before.size(), 1U) << findings[0].last.verdict.detail;
    EXPECT_EQ(findings[0].before[0].data.seed, leaves);
    EXPECT_EQ(findings[0].shrunk.c.data.seed, meets);
    EXPECT_FALSE(findings[0].learned.alone);
  };
  expect_traced(run(*open(), cases));
  CampaignOptions options;
  options.seed = 3;
  options.cases = cases;
  for (const int jobs : {1, 3}) {
    std::vector<Finding> findings;
    run_campaign_jobs(open, options, jobs, {{}, [&](const Finding& f) { findings.push_back(f); }});
    expect_traced(findings);
  }
}

/// A limit on how many runs a process takes, whichever they are (a compiler's cache): those that
/// repeat a case for its properties are among them.
TEST(Replayable, AHundredCasesThatAreNeededTogetherAreFound) {
  constexpr size_t needed = 100 / testing::each_nth;
  int64_t runs = 0;
  Keeping target([&](const std::vector<Case>& before, const Case&) {
    ++runs;
    return before.size() >= needed;
  });
  const std::vector<Finding> findings = run(target, needed + 10);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_NEAR(static_cast<double>(findings[0].before.size()), needed - 1, 1);  // repetitions count
  EXPECT_LT(runs, 40000);
}

/// Shrinking one failure leaves what spoils other cases: that is no part of the campaign.
TEST(Replayable, WhatShrinkingRanIsNotWhatLaterCasesComeAfter) {
  Keeping target([](const std::vector<Case>& before, const Case& c) {
    return c.problem.softcap > 0 ||
           std::any_of(before.begin(), before.end(), [](const Case& b) { return b.steps.empty(); });
  });
  EXPECT_LE(run(target, 60).size(), 1U);
}

}  // namespace
}  // namespace attnfuzz
