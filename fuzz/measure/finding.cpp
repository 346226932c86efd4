#include "fuzz/measure/finding.h"

#include "fuzz/measure/measure.h"

namespace attnfuzz::measure {
namespace {

constexpr int64_t most_runs = 4000;

bool is_of_values(const Finding& finding) {
  const FailureKind kind = finding.last.verdict.failure;
  return kind == FailureKind::mismatch || kind == FailureKind::nan || kind == FailureKind::ignored;
}

}  // namespace

void measure_finding(Target& target, Finding& finding, double seconds) {
  if (!is_of_values(finding) || !finding.learned.alone || !finding.before.empty()) return;
  Budget budget(most_runs, seconds);
  finding.measured = measure(target, std::array{finding.original}, budget).statements;
  if (!finding.measured.empty()) return;
  finding.measured = measure(target, std::array{finding.shrunk.c}, budget).statements;
}

}  // namespace attnfuzz::measure
