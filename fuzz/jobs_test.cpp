#include "fuzz/jobs.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <new>
#include <thread>

#include "fuzz/reach/sequence.h"
#include "fuzz/testing.h"
#include "targets/given_up.h"
#include "targets/protocol.h"
#include "targets/remote.h"
#include "targets/wrapped_target.h"

namespace attnfuzz {
namespace {

using RunWith = std::function<Outcome(Target& right, const Case&, const Inputs&)>;

std::unique_ptr<Target> never_failing() {
  return testing::failing([](const Case&) { return ""; });
}

/// A worker that says what never_failing() claims, and then waits.
std::unique_ptr<Target> open_waiting() {
  const std::string greet =
      "echo '" + write_hello(never_failing()->info()) + "' >&3; read line <&3";
  return open_remote("worker", {{"sh", "-c", greet}, {}});
}

/// never_failing() with another run().
class Other final : public WrappedTarget {
 public:
  /// `in_worker`: it wraps one, though its runs are here.
  Other(bool in_worker, RunWith run)
      : WrappedTarget(in_worker ? open_waiting() : never_failing()),
        right_(never_failing()),
        run_(std::move(run)) {}
  const TargetInfo& info() const override { return right_->info(); }
  Outcome run(const Case& c, const Inputs& inputs) override { return run_(*right_, c, inputs); }
  bool restart() override { return false; }

 private:
  std::unique_ptr<Target> right_;
  RunWith run_;
};

Case nth_case(const CampaignOptions& options, uint64_t index) {
  const auto target = testing::failing([](const Case&) { return ""; });
  return Sequence(target->info().capabilities, options.seed)(index);
}

struct Result {
  CampaignStats stats;
  std::vector<Finding> findings;
};

Result run_jobs(bool in_worker, const std::function<RunWith()>& open,
                const CampaignOptions& options, int jobs) {
  Result result;
  result.stats =
      run_campaign_jobs([&] { return std::make_unique<Other>(in_worker, open()); }, options, jobs,
                        {{}, [&](const Finding& f) { result.findings.push_back(f); }});
  return result;
}

/// A number that forks share.
class Shared {
 public:
  Shared()
      : number_(new (mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<int>(0)) {}
  std::atomic<int>& operator*() { return *number_; }

 private:
  std::atomic<int>* number_;
};

TEST(JobDeaths, ASignalIsNamedWhereTheCasePassesInANewProcess) {
  CampaignOptions options;
  options.cases = 100;
  for (const int jobs : {1, 2}) {
    const auto open = [] {
      return [calls = 0](Target& right, const Case& c, const Inputs& inputs) mutable {
        if (++calls == 20) std::raise(SIGKILL);
        return right.run(c, inputs);
      };
    };
    const Result result = run_jobs(false, open, options, jobs);
    ASSERT_EQ(result.findings.size(), 1U);
    const Finding& f = result.findings[0];
    EXPECT_EQ(f.last.verdict.failure, FailureKind::nondeterminism);
    EXPECT_EQ(
        f.last.verdict.detail,
        "the case failed in one process (killed by SIGKILL (Killed)) and passed in a new one");
    EXPECT_EQ(result.stats.cases, options.cases);
    EXPECT_GT(result.stats.failed, 1U);
    EXPECT_EQ(result.stats.signatures.at(f.signature), result.stats.failed);
  }
}

TEST(JobDeaths, CasesThatWereNotReportedCountAsTheyWere) {
  CampaignOptions options;
  options.cases = 100;
  const Case deadly = nth_case(options, 50);
  const auto count = [&](bool dies) {
    const auto open = [&]() -> RunWith {
      return [&deadly, dies](Target& right, const Case& c, const Inputs& inputs) {
        if (dies && c == deadly) std::raise(SIGKILL);
        if (c.problem.batch > 1) return Outcome{Status::declined, "a batch", {}};
        return right.run(c, inputs);
      };
    };
    return run_jobs(false, open, options, 2).stats;
  };
  const CampaignStats one = count(false), other = count(true);
  ASSERT_GT(one.skipped, 0U);
  EXPECT_EQ(other.cases, one.cases);
  EXPECT_EQ(other.failed, 1U);
  EXPECT_EQ(other.passed + other.skipped + 1, one.passed + one.skipped);
  EXPECT_LE(one.skipped - other.skipped, 1U);
  EXPECT_EQ(other.features, one.features);
}

TEST(JobDeaths, AHangIsATimeout) {
  CampaignOptions options;
  options.cases = 20;
  options.hang_seconds = 4;
  options.max_shrink_tries = 1;
  const Case slow = nth_case(options, 7);
  const auto open = [&]() -> RunWith {
    return [&slow](Target& right, const Case& c, const Inputs& inputs) {
      while (c == slow) std::this_thread::sleep_for(std::chrono::seconds(1));
      return right.run(c, inputs);
    };
  };
  const Result result = run_jobs(false, open, options, 2);
  ASSERT_EQ(result.findings.size(), 1U);
  EXPECT_EQ(result.findings[0].last.verdict.failure, FailureKind::timeout);
  EXPECT_EQ(result.findings[0].index, 7U);
  EXPECT_EQ(result.stats.cases, options.cases);
}

/// Its worker has limits of its own: --timeout may be an hour.
TEST(JobDeaths, AWorkerMayTakeItsTime) {
  CampaignOptions options;
  options.cases = 20;
  options.hang_seconds = 0.2;
  const Case slow = nth_case(options, 7);
  const auto open = [&]() -> RunWith {
    return [&slow](Target& right, const Case& c, const Inputs& inputs) {
      if (c == slow) std::this_thread::sleep_for(std::chrono::seconds(2));
      return right.run(c, inputs);
    };
  };
  const Result result = run_jobs(true, open, options, 2);
  for (const Finding& f : result.findings)
    ADD_FAILURE() << one_line(f.original) << ": " << f.first.verdict.detail;
  EXPECT_EQ(result.stats.passed, options.cases);
}

/// The process that asks the worker dies: the case is judged in another, whose target has a new
/// worker and is never run from a fork of the process that opened it.
TEST(JobDeaths, ATargetInAWorkerIsNotToBlame) {
  CampaignOptions options;
  options.cases = 20;
  const Case deadly = nth_case(options, 7);
  Shared deaths;
  const auto open = [&]() -> RunWith {
    return [&, opened_by = getpid()](Target& right, const Case& c, const Inputs& inputs) {
      if (c == deadly && (*deaths)++ == 0) std::raise(SIGKILL);
      if (getpid() != opened_by) return Outcome{Status::error, "another's worker", {}};
      return right.run(c, inputs);
    };
  };
  const Result result = run_jobs(true, open, options, 2);
  EXPECT_EQ(*deaths, 2);
  for (const Finding& f : result.findings)
    ADD_FAILURE() << one_line(f.original) << ": " << f.first.verdict.detail;
  EXPECT_EQ(result.stats.passed, options.cases);
}

/// What waits for a hanging case's turn, or is being shrunk, is not lost.
TEST(JobsGivenUp, FailuresAreToldAsTheyWereFound) {
  CampaignOptions options;
  options.cases = 20;
  const Case slow = nth_case(options, 0);
  const auto open = [&]() -> RunWith {
    return [&slow](Target&, const Case& c, const Inputs&) -> Outcome {
      while (c == slow) std::this_thread::sleep_for(std::chrono::seconds(1));
      return {Status::error, "wrong", {}};
    };
  };
  std::vector<Finding> findings;
  const auto give_up = [](const CampaignStats& stats) {
    if (stats.failed > 3) throw GivenUp();
  };
  const CampaignStats stats =
      run_campaign_jobs([&] { return std::make_unique<Other>(true, open()); }, options, 2,
                        {give_up, [&](const Finding& f) { findings.push_back(f); }});
  EXPECT_TRUE(stats.interrupted);
  EXPECT_GT(stats.failed, 3U);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].first.verdict.failure, FailureKind::error);
  EXPECT_EQ(findings[0].index, 1U);
  EXPECT_EQ(findings[0].shrunk.c, nth_case(options, 1));
  EXPECT_EQ(findings[0].signature, findings[0].first.signature);
}

}  // namespace
}  // namespace attnfuzz
