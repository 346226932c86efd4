#include <gtest/gtest.h>

#include "fuzz/generate.h"
#include "fuzz/judge.h"
#include "oracle/each_nth.h"
#include "targets/cuda/emulated.h"

namespace attnfuzz::cuda {
namespace {

/// The first of so many cases that fails, in words; empty: none.
std::string first_failure(Target& target, uint64_t cases) {
  const Generator generator(target.info().capabilities);
  for (uint64_t index = 0; index < cases; ++index) {
    const Case c = generator(*seeded_draw(1, index));
    const Examination examination = examine(target, c);
    EXPECT_NE(examination.verdict.kind, VerdictKind::skip);
    if (examination.verdict.failed()) return one_line(c) + ": " + examination.verdict.detail;
    if (!examination.outcome.text.empty()) return one_line(c) + ": " + examination.outcome.text;
  }
  return {};
}

TEST(CudaEmulated, TargetsAreRightAndTheCheckersHaveNothingToSay) {
  for (const BuiltinTarget& entry : emulated_targets())
    EXPECT_EQ(first_failure(*entry.open(), 400 / testing::each_nth), "") << entry.name;
}

TEST(CudaEmulated, EveryMutantIsWrongSomewhere) {
  EXPECT_EQ(open_emulated_mutant("mutant:cuda-none"), nullptr);
  for (const Mutant& mutant : emulated_mutants()) {
    const auto target = open_emulated_mutant("mutant:" + std::string(mutant.name));
    ASSERT_NE(target, nullptr) << mutant.name;
    EXPECT_NE(first_failure(*target, 1000), "") << mutant.name;
  }
}

}  // namespace
}  // namespace attnfuzz::cuda
