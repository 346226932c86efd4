#include "targets/remote.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <cstdio>
#include <thread>

#include "targets/protocol.h"

namespace attnfuzz {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t harmless = 2, hostile = 1;  // seeds: see testdata/hostile_worker.cpp

Case case_with_seed(uint64_t seed) {
  Case c;
  c.problem.batch = 3;
  c.problem.head_dim = c.problem.head_dim_v = 5;
  c.data.seed = seed;
  return c;
}

WorkerLimits quick() {
  WorkerLimits limits;
  limits.case_seconds = 1;
  limits.memory_bytes = uint64_t{512} << 20;
  return limits;
}

std::unique_ptr<Target> open_hostile(const std::string& what, const WorkerLimits& limits) {
  return open_isolated("hostile:" + what, limits, ATTNFUZZ_HOSTILE_WORKER);
}

Outcome run(Target& target, uint64_t seed) {
  const Case c = case_with_seed(seed);
  return target.run(c, make_inputs(c));
}

void expect_echo(Target& target) {
  const Outcome outcome = run(target, harmless);
  EXPECT_EQ(outcome.status, Status::ok) << outcome.text;
  ASSERT_EQ(outcome.steps.size(), 1U);
  const Tensor v = make_inputs(case_with_seed(harmless)).at("v");
  EXPECT_EQ(outcome.steps[0].out.shape, v.shape);
  EXPECT_EQ(outcome.steps[0].out.bytes, v.bytes);
  EXPECT_EQ(outcome.steps[0].lengths, (std::vector<int64_t>{1, 2}));
}

bool alive(pid_t pid) {
  return kill(pid, 0) == 0;
}

/// Killed processes whose parent is gone wait for init to reap them.
bool gone_soon(pid_t pid) {
  for (int k = 0; k < 500 && alive(pid); ++k) std::this_thread::sleep_for(20ms);
  return !alive(pid);
}

struct Hostility {
  std::string what;
  Status status;
  std::string text;  ///< the outcome's text begins so
};
void PrintTo(const Hostility& h, std::ostream* out) {
  *out << h.what;
}

class RemoteOutcome : public testing::TestWithParam<Hostility> {};

TEST_P(RemoteOutcome, IsReportedAndCostsOneRespawn) {
  WorkerLimits limits = quick();
  // Only what never ends by itself meets the time limit; a busy machine may take its time.
  if (GetParam().status != Status::timeout) limits.case_seconds = 120;
  const std::unique_ptr<Target> target = open_hostile(GetParam().what, limits);
  expect_echo(*target);
  for (int k = 0; k < 2; ++k) {
    const Outcome outcome = run(*target, hostile);
    EXPECT_EQ(outcome.status, GetParam().status) << outcome.text;
    EXPECT_EQ(outcome.text.substr(0, GetParam().text.size()), GetParam().text);
    expect_echo(*target);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, RemoteOutcome,
    testing::Values(
        Hostility{"segv", Status::crash, "killed by SIGSEGV"},
        Hostility{"abort", Status::crash, "killed by SIGABRT (Aborted)\nfree(): invalid pointer"},
        Hostility{"exit", Status::crash, "exited with code 7"},
        Hostility{"leaves", Status::crash, "exited with code 5"},
        Hostility{"hang", Status::timeout, "no reply in 1 s"},
        Hostility{"closes", Status::crash, "closed its socket"},
        Hostility{"eats", Status::memory, "more than 512 MiB in use"},
        Hostility{"garbage", Status::crash, "not a worker's reply: expected a JSON object"},
        Hostility{"flood", Status::crash, "a reply of more than"},
        Hostility{"sticky", Status::error, "CUDA error: an illegal memory access"},
        Hostility{"throws", Status::error, "q_len 2 is not supported"},
        Hostility{"bad-alloc", Status::memory, "std::bad_alloc"}),
    [](const auto& test) {
      std::string name = test.param.what;
      std::erase(name, '-');
      return name;
    });

TEST(Remote, RepliesThatPointOutsideAreCrashes) {
  // The very first request: its id is 1, as the replies say.
  for (const auto& [what, text] : {std::pair{"outside", "a tensor outside the shared memory"},
                                   std::pair{"too-large", "a tensor of more than"}}) {
    const std::unique_ptr<Target> target = open_hostile(what, quick());
    const Outcome outcome = run(*target, hostile);
    EXPECT_EQ(outcome.status, Status::crash);
    EXPECT_NE(outcome.text.find(text), std::string::npos) << outcome.text;
    expect_echo(*target);
  }
}

TEST(Remote, GigabytesPrintedAreDrained) {
  WorkerLimits limits = quick();
  limits.case_seconds = 120;
  const std::unique_ptr<Target> target = open_hostile("prints", limits);
  EXPECT_EQ(run(*target, hostile).status, Status::ok);
}

TEST(Remote, TheWholeGroupDies) {
  const std::unique_ptr<Target> target = open_hostile("forks", quick());
  const Outcome outcome = run(*target, hostile);
  EXPECT_EQ(outcome.status, Status::timeout);
  const size_t at = outcome.text.find("grandchild ");
  ASSERT_NE(at, std::string::npos) << outcome.text;
  EXPECT_TRUE(gone_soon(std::stoi(outcome.text.substr(at + 11))));
}

TEST(Remote, WorkersDieWithTheTarget) {
  std::unique_ptr<Target> target = open_hostile("echo", quick());
  const pid_t worker = std::stoi(target->info().version);
  EXPECT_TRUE(alive(worker));
  target.reset();
  EXPECT_FALSE(alive(worker));
}

TEST(Remote, WorkersDieWithAttnfuzz) {
  FILE* parent = popen("exec " ATTNFUZZ_HOSTILE_WORKER " parent & echo $!; wait", "r");
  ASSERT_NE(parent, nullptr);
  std::array<char, 64> line{};
  ASSERT_NE(fgets(line.data(), line.size(), parent), nullptr);
  const pid_t attnfuzz = std::stoi(line.data());
  ASSERT_NE(fgets(line.data(), line.size(), parent), nullptr);
  const pid_t worker = std::stoi(line.data());
  EXPECT_TRUE(alive(worker));
  kill(attnfuzz, SIGKILL);
  pclose(parent);
  EXPECT_TRUE(gone_soon(worker));
}

TEST(Remote, ManyCasesThroughOneWorker) {
  const std::unique_ptr<Target> target = open_hostile("echo", {});
  for (int64_t batch = 0; batch < 40; ++batch) {
    Case c = case_with_seed(harmless);
    c.problem.batch = batch;
    c.problem.head_dim_v = 1 + 999 * (batch % 5);
    c.problem.kv_len = 1 + 100 * (batch % 3);  // up to some MB: the memory has to grow
    const Inputs inputs = make_inputs(c);
    const Outcome outcome = target->run(c, inputs);
    ASSERT_EQ(outcome.status, Status::ok) << outcome.text;
    EXPECT_EQ(outcome.steps[0].out.shape, inputs.at("v").shape);
    EXPECT_EQ(outcome.steps[0].out.bytes, inputs.at("v").bytes);
  }
}

TEST(Remote, TheInfoIsTheWorkers) {
  const std::unique_ptr<Target> target = open_hostile("echo", quick());
  EXPECT_EQ(target->info().name, "hostile:echo");
  EXPECT_TRUE(target->info().capabilities.has("rule:causal"));
  EXPECT_EQ(target->info().capabilities.sizes.at("batch").max, 64);
  EXPECT_FALSE(target->info().trusted);
}

TEST(Remote, OpeningWhatDoesNotExistSaysWhy) {
  const auto message = [](const std::string& name, const std::string& program) -> std::string {
    WorkerLimits limits = quick();
    limits.hello_seconds = 1;
    try {
      open_isolated(name, limits, program);
    } catch (const InputError& e) {
      return e.what();
    }
    return {};
  };
  EXPECT_EQ(message("hostile:none", ATTNFUZZ_HOSTILE_WORKER),
            "hostile:none: no behaviour hostile:none");
  EXPECT_EQ(message("hostile:silent", ATTNFUZZ_HOSTILE_WORKER), "hostile:silent: no reply in 1 s");
  EXPECT_EQ(message("hostile:rude", ATTNFUZZ_HOSTILE_WORKER),
            "hostile:rude: not a worker's greeting: expected a JSON object");
  EXPECT_EQ(message("x:y", "/no/such/program"), "x:y: exited with code 127");
}

}  // namespace
}  // namespace attnfuzz
