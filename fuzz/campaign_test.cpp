#include "fuzz/campaign.h"

#include <gtest/gtest.h>

#include <csignal>

#include "fuzz/jobs.h"
#include "fuzz/testing.h"
#include "oracle/case_io.h"
#include "oracle/each_nth.h"
#include "targets/given_up.h"

namespace attnfuzz {
namespace {

struct Result {
  CampaignStats stats;
  std::vector<Finding> findings;
};

Result run(Target& target, const CampaignOptions& options) {
  Result result;
  result.stats =
      run_campaign(target, options, {{}, [&](const Finding& f) { result.findings.push_back(f); }});
  return result;
}

Result run_jobs(const OpenTarget& open, const CampaignOptions& options, int jobs) {
  Result result;
  result.stats = run_campaign_jobs(open, options, jobs,
                                   {{}, [&](const Finding& f) { result.findings.push_back(f); }});
  return result;
}

void expect_same_counts(const CampaignStats& a, const CampaignStats& b) {
  EXPECT_EQ(a.cases, b.cases);
  EXPECT_EQ(a.passed, b.passed);
  EXPECT_EQ(a.failed, b.failed);
  EXPECT_EQ(a.skipped, b.skipped);
  EXPECT_EQ(a.worst_ratio, b.worst_ratio);
  EXPECT_EQ(a.features, b.features);
}

void expect_same_findings(const std::vector<Finding>& a, const std::vector<Finding>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t k = 0; k < a.size(); ++k) {
    EXPECT_EQ(a[k].signature, b[k].signature);
    EXPECT_EQ(a[k].index, b[k].index);
    EXPECT_EQ(write_case(a[k].shrunk.c), write_case(b[k].shrunk.c));
    EXPECT_EQ(a[k].shrunk.history, b[k].shrunk.history);
    EXPECT_EQ(a[k].last.verdict.detail, b[k].last.verdict.detail);
    EXPECT_EQ(a[k].last.verdict.fits, b[k].last.verdict.fits);
    EXPECT_EQ(a[k].last.precision, b[k].last.precision);
    EXPECT_EQ(a[k].last.outcome.text, b[k].last.outcome.text);
  }
}

TEST(Campaign, OverheadIsWhatTheTargetDoesNotTake) {
  CampaignOptions options;
  options.cases = 50;
  for (const int jobs : {0, 2}) {
    const OpenTarget open = [] { return open_target("cpu:naive"); };
    const CampaignStats stats =
        jobs == 0 ? run(*open(), options).stats : run_jobs(open, options, jobs).stats;
    EXPECT_GT(stats.target_seconds, 0);
    EXPECT_GT(stats.judged_seconds, stats.target_seconds);
    EXPECT_GT(stats.overhead_share(), 0);
    EXPECT_LT(stats.overhead_share(), 1);
    EXPECT_NEAR(stats.overhead_of_case() * 50, stats.judged_seconds - stats.target_seconds, 1e-9);
  }
}

TEST(Campaign, SameSeedSameCampaign) {
  const auto target = open_target("specimen:llama4-chunked-eager");
  CampaignOptions options;
  options.cases = 300;
  options.seed = 5;
  const Result first = run(*target, options), second = run(*target, options);
  expect_same_counts(first.stats, second.stats);
  expect_same_findings(first.findings, second.findings);
  EXPECT_FALSE(first.findings.empty());
}

TEST(Campaign, ShardsAreTheWhole) {
  const auto target = open_target("cpu:naive");
  CampaignOptions options;
  options.cases = 200 / testing::each_nth;
  options.seed = 3;
  const Result whole = run(*target, options);
  CampaignStats sum;
  options.shards = 7;
  for (options.shard = 0; options.shard < options.shards; ++options.shard)
    sum += run(*target, options).stats;
  expect_same_counts(sum, whole.stats);
}

TEST(Campaign, StopsWhenTold) {
  const auto target = open_target("cpu:naive");
  CampaignOptions options;
  const std::atomic<bool> interrupt{true};
  options.interrupt = &interrupt;
  const Result interrupted = run(*target, options);
  EXPECT_EQ(interrupted.stats.cases, 0U);
  EXPECT_TRUE(interrupted.stats.interrupted);

  const auto always = testing::failing([](const Case&) { return "always"; });
  options.interrupt = nullptr;
  options.stop_after = 1;
  EXPECT_EQ(run(*always, options).stats.cases, 1U);
}

TEST(CampaignJobs, StopAtTheFindingAndDoNotWaitForAnother) {
  const OpenTarget rarely = [] {
    return testing::failing(
        [](const Case& c) { return c.problem.q_len == 40 && c.problem.batch == 8 ? "rare" : ""; });
  };
  CampaignOptions options;
  options.cases = 1000000;
  options.stop_after = 1;
  const Result result = run_jobs(rarely, options, 2);
  EXPECT_EQ(result.findings.size(), 1U);
  EXPECT_LT(result.stats.cases, options.cases);
}

/// Every specimen is found, is one-minimal, and is clean once fixed.
class Specimens : public ::testing::TestWithParam<std::string> {};

TEST_P(Specimens, FoundAndMinimal) {
  const auto target = open_target("specimen:" + GetParam());
  CampaignOptions options;
  options.cases = 600;
  options.seed = 1;
  const Result result = run(*target, options);
  ASSERT_FALSE(result.findings.empty());
  for (const Finding& f : result.findings) {
    EXPECT_TRUE(f.shrunk.minimal);
    EXPECT_LT(weight(f.shrunk.c), weight(f.original) + 1);
    EXPECT_TRUE(examine(*target, f.shrunk.c).verdict.failed());
    FailureClass same = classify(f.shrunk.c, f.last.verdict);
    for (size_t k = 0; k < same.numbers.size(); ++k) {
      same.numbers[k].names = f.learned.numbers[k].names;
      same.numbers[k].constant = f.learned.numbers[k].constant;
    }
    for (const Reduction& reduction : reductions(f.shrunk.c)) {
      if (!target->info().capabilities.rejection_reason(reduction.c).empty()) continue;
      const Verdict verdict = examine(*target, reduction.c).verdict;
      EXPECT_FALSE(verdict.failed() && same.admits(classify(reduction.c, verdict)))
          << one_line(f.shrunk.c) << " fails the same way after: " << reduction.words;
    }
  }
}

TEST_P(Specimens, CleanOnceFixed) {
  const auto target = open_target("fixed:" + GetParam());
  CampaignOptions options;
  options.cases = 300;
  const Result result = run(*target, options);
  EXPECT_EQ(result.stats.failed, 0U);
  EXPECT_EQ(result.stats.passed, result.stats.cases);
}

std::vector<std::string> specimen_names() {
  std::vector<std::string> names;
  constexpr std::string_view prefix = "specimen:";
  size_t k = 0;
  for (const BuiltinTarget& target : builtin_targets())
    if (target.name.starts_with(prefix) && k++ % testing::each_nth == 0)
      names.emplace_back(target.name.substr(prefix.size()));
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, Specimens, ::testing::ValuesIn(specimen_names()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Jobs, GiveTheSameFindings) {
  const OpenTarget open = [] { return open_target("specimen:gla-cache-offset"); };
  CampaignOptions options;
  options.cases = 300 / testing::each_nth;
  options.seed = 1;
  const Result alone = run(*open(), options);
  for (const int jobs : {1, 3}) {
    const Result several = run_jobs(open, options, jobs);
    expect_same_counts(several.stats, alone.stats);
    EXPECT_EQ(several.stats.signatures, alone.stats.signatures);
    expect_same_findings(several.findings, alone.findings);
  }
}

TEST(Jobs, ACrashIsAFinding) {
  const OpenTarget open = [] {
    return testing::failing([](const Case& c) {
      if (c.problem.softcap > 0 && c.problem.kv_len > 2) std::raise(SIGKILL);
      return std::string();
    });
  };
  CampaignOptions options;
  options.cases = 150;
  const Result one = run_jobs(open, options, 1), two = run_jobs(open, options, 2);
  expect_same_findings(one.findings, two.findings);
  ASSERT_EQ(one.findings.size(), 1U);
  const Finding& f = one.findings[0];
  EXPECT_EQ(f.last.verdict.failure, FailureKind::crash);
  EXPECT_NE(f.last.verdict.detail.find("SIGKILL"), std::string::npos) << f.last.verdict.detail;
  EXPECT_EQ(f.shrunk.c.problem.kv_len, 3);
  EXPECT_EQ(f.shrunk.c.problem.softcap, 1);
  EXPECT_TRUE(f.shrunk.minimal);
  EXPECT_EQ(one.stats.cases, 150U);
  EXPECT_EQ(one.stats.cases, two.stats.cases);
  EXPECT_EQ(one.stats.failed, two.stats.failed);
}

TEST(Jobs, ATargetThatCannotBeOpenedIsBadInput) {
  const OpenTarget open = []() -> std::unique_ptr<Target> {
    throw InputError("target", "", "expected one that is there");
  };
  try {
    run_jobs(open, {}, 2);
    FAIL() << "an InputError was expected";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "target: expected one that is there");
  }
}

TEST(CampaignGivenUp, WhatIsBeingShrunkIsToldAsItWasFound) {
  int runs = 0;
  const auto target = testing::failing([&](const Case&) -> std::string {
    if (++runs == 5) throw GivenUp();
    return "wrong";
  });
  const Result result = run(*target, {});
  EXPECT_TRUE(result.stats.interrupted);
  EXPECT_EQ(result.stats.failed, 1U);
  ASSERT_EQ(result.findings.size(), 1U);
  EXPECT_EQ(result.findings[0].shrunk.c, result.findings[0].original);
  EXPECT_FALSE(result.findings[0].shrunk.minimal);
}

}  // namespace
}  // namespace attnfuzz
