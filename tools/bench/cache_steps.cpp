// Cache bugs: how many cases and steps it takes to find each specimen, and how long its shrunk
// sequence is. Cached steps per second, run and judged, on one core.
//   cache_steps table SEEDS      a Markdown table, medians over the seeds
//   cache_steps speed SECONDS    steps/s of cpu:dense-cache as JSON
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>

#include "fuzz/campaign.h"
#include "fuzz/reach/sequence.h"
#include "reports/diagnose.h"

namespace {

using namespace attnfuzz;

constexpr uint64_t most_cases = 5000;

/// The fewest steps with which the bug can show and be told from other meanings, by what it needs:
/// tokens, what moves them, and a query or a report of the cache after it.
struct Known {
  std::string_view specimen;
  int64_t steps;
};
constexpr Known table[] = {{"beam-reorder-skipped", 3},         {"crop-zero-ignored", 2},
                           {"cross-cut-to-window", 1},          {"cross-lengths-ignored", 1},
                           {"eviction-causal-by-slot", 3},      {"eviction-rewinds-offset", 2},
                           {"fork-shares-tail-page", 3},        {"gla-cache-offset", 1},
                           {"hybrid-capacity-of-window", 1},    {"left-padding-one-position", 2},
                           {"llama4-flex-dynamic-cache", 1},    {"quant-reorder-skipped", 3},
                           {"quant-scale-of-first-head", 1},    {"quant-scales-ignored", 1},
                           {"ring-overwritten-before-read", 1}, {"rope-new-keys-not-turned", 1},
                           {"rope-offset-of-first-call", 2},    {"rope-turned-twice", 1},
                           {"shift-delta-replaced", 4},         {"shift-first-row-only", 3},
                           {"sink-keys-not-shifted", 3},        {"sink-window-drops-newest", 1},
                           {"sliding-cache-rolls-early", 2},    {"window-length-of-dropped", 1},
                           {"window-of-first-query", 1}};

struct Found {
  int64_t cases = 0, steps = 0, shrunk = 0;
  std::string cause;
};

Found find(Target& target, uint64_t seed) {
  Sequence sequence(target.info().capabilities, seed);
  Found found;
  for (uint64_t index = 0; index < most_cases; ++index) {
    Judged judged = judge_case(target, sequence, {.seed = seed}, index);
    ++found.cases;
    found.steps += static_cast<int64_t>(judged.c.steps.size());
    if (!judged.examination.verdict.failed()) continue;
    Finding finding = finding_of(target.info(), seed, index, std::move(judged));
    shrink_finding(target, finding, 20000);
    // Without a cache at all it is one call.
    found.shrunk = std::max<int64_t>(1, static_cast<int64_t>(finding.shrunk.c.steps.size()));
    const std::vector<Cause> causes = diagnose(finding);
    found.cause = causes.empty() ? "none" : causes.front().name;
    return found;
  }
  throw std::runtime_error(target.info().name + " was not found");
}

template <class T>
T median(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

/// What most seeds say.
std::string commonest(const std::vector<Found>& all) {
  std::map<std::string, int> counts;
  for (const Found& found : all) ++counts[found.cause];
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

void print_table(uint64_t seeds) {
  fmt::print(
      "| specimen | cases | steps | shrunk to (steps) | most | least possible | cause |\n"
      "|---|---|---|---|---|---|---|\n");
  for (const Known& known : table) {
    const auto target = open_target(fmt::format("specimen:{}", known.specimen));
    std::vector<Found> all;
    for (uint64_t seed = 1; seed <= seeds; ++seed) all.push_back(find(*target, seed));
    std::vector<int64_t> cases, steps, shrunk;
    for (const Found& found : all) {
      cases.push_back(found.cases);
      steps.push_back(found.steps);
      shrunk.push_back(found.shrunk);
    }
    fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", known.specimen, median(cases),
               median(steps), median(shrunk), *std::max_element(shrunk.begin(), shrunk.end()),
               known.steps, commonest(all));
    std::fflush(stdout);
  }
}

void print_speed(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto target = open_target("cpu:dense-cache");
  Sequence sequence(target->info().capabilities, 1);
  int64_t steps = 0, cases = 0;
  const auto start = Clock::now();
  double passed = 0;
  while (passed < seconds) {
    const Judged judged =
        judge_case(*target, sequence, {.seed = 1}, static_cast<uint64_t>(cases++));
    steps += static_cast<int64_t>(judged.c.steps.size());
    if (judged.examination.verdict.failed()) throw std::runtime_error("a false alarm");
    passed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  fmt::print(
      "{{\"steps\": {}, \"cases\": {}, \"seconds\": {:.3f}, \"steps_per_second\": {:.0f}}}\n",
      steps, cases, passed, static_cast<double>(steps) / passed);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc == 3 ? argv[1] : "";
  if (what == "table") {
    print_table(std::strtoull(argv[2], nullptr, 10));
  } else if (what == "speed") {
    print_speed(std::strtod(argv[2], nullptr));
  } else {
    fmt::print(stderr, "usage: cache_steps table SEEDS | speed SECONDS\n");
    return 2;
  }
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 3;
}
