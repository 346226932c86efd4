/// libFuzzer harness of one target: mutates Cases, judges each against the oracle, and is guided by
/// the code's coverage, by what a case covers of the problem space, by the goals of reach that it
/// is the first to reach, and by its error.
///   ATTNFUZZ_TARGET    its name or a plug-in's path (default cpu:tiled)
///   ATTNFUZZ_FAILURES  a folder: the first case of each failure is written there, and fuzzing goes
///                      on. Without it a failure aborts, as any fuzzing engine expects.
///   ATTNFUZZ_REACHED   a file: the name of each goal that was reached is added to it, one a line
/// `attnfuzz fuzz` sets all three.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "fuzz/coverage.h"
#include "fuzz/known.h"
#include "fuzz/mutate.h"
#include "targets/target.h"

namespace {

using namespace attnfuzz;

constexpr size_t goal_points = 4096;  ///< more than a target has goals, by far; else some share one

/// libFuzzer takes each of these that is not 0 after a run for a feature of the input.
__attribute__((section("__libfuzzer_extra_counters")))
uint8_t counters[coverage_points + error_points + goal_points];

struct Harness {
  std::unique_ptr<Target> target;
  Mutator mutator;
  std::string failures;
  KnownFailures known;
  std::vector<bool> reached;
  std::ofstream names;  ///< of the goals that were reached

  explicit Harness(std::unique_ptr<Target> opened)
      : target(std::move(opened)), mutator(target->info().capabilities) {
    if (const char* folder = std::getenv("ATTNFUZZ_FAILURES")) failures = folder;
    if (const char* file = std::getenv("ATTNFUZZ_REACHED")) names.open(file, std::ios::app);
    reached.resize(mutator.goals().size());
  }
};

std::unique_ptr<Target> open_from_environment() {
  const char* name = std::getenv("ATTNFUZZ_TARGET");
  return open_target(name != nullptr ? name : "cpu:tiled");
}

/// Made once, and never unmade: targets may have threads.
Harness& harness() {
  static Harness& all = *new Harness(open_from_environment());
  return all;
}

void report(Harness& h, const Case& c, const Examination& exam) {
  if (h.failures.empty()) {
    fmt::print(stderr, "{}: {}: {}\n{}", h.target->info().name, name(exam.verdict.failure),
               exam.verdict.detail, Mutator::encode(c));
    std::abort();
  }
  CampaignStats ignored;
  const FailureClass failure = classify(c, exam.verdict);
  if (h.known.count(exam.signature, failure, ignored)) return;
  Finding finding;
  finding.first = exam;
  finding.signature = exam.signature;
  finding.learned = failure;
  h.known.add(finding, ignored);
  std::ofstream(fmt::format("{}/{}.case.json", h.failures, exam.signature)) << Mutator::encode(c);
}

void count_reach(Harness& h, const Case& c) {
  const CaseMarks marks = marks_of(c);
  for (size_t k = 0; k < h.reached.size(); ++k) {
    const Goal& goal = h.mutator.goals()[k];
    if (!reaches(marks, goal)) continue;
    counters[coverage_points + error_points + k % goal_points] = 1;
    if (!h.reached[k]) h.names << goal.name << std::endl;  // the process may end at any time
    h.reached[k] = true;
  }
}

size_t put(const Case& c, uint8_t* data, size_t size, size_t most) {
  const std::string text = Mutator::encode(c);
  if (text.size() > most) return size;  // no room: as it was
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  try {
    harness();
  } catch (const InputError& error) {
    fmt::print(stderr, "{}\n", error.what());
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Harness& h = harness();
  const Case c = h.mutator.decode({data, size});
  const Examination exam = examine(*h.target, c);
  for (const uint32_t point : coverage_of(c, h.target->info().capabilities)) counters[point] = 1;
  if (exam.verdict.kind != VerdictKind::skip) {
    counters[coverage_points + error_point(c, exam.verdict)] = 1;
    count_reach(h, c);
  }
  if (exam.verdict.failed()) report(h, c, exam);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most,
                                          unsigned int seed) {
  const Mutator& mutator = harness().mutator;
  return put(mutator.mutate(mutator.decode({data, size}), *seeded_draw(seed, size)), data, size,
             most);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t a_size, const uint8_t* b,
                                            size_t b_size, uint8_t* out, size_t most,
                                            unsigned int seed) {
  const Mutator& mutator = harness().mutator;
  return put(mutator.cross(mutator.decode({a, a_size}), mutator.decode({b, b_size}),
                           *seeded_draw(seed, a_size + b_size)),
             out, 0, most);
}
