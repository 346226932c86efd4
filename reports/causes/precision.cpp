#include <fmt/format.h>

#include <algorithm>

#include "reports/causes/causes.h"
#include "reports/errors.h"

namespace attnfuzz {
namespace {

constexpr CauseEntry entry{"lower-precision",
                           "The output is as right as a lower precision than the declared one can "
                           "make it."};

/// Types that a computation may fall back to, the better one first.
constexpr DType lower_types[] = {DType::f32, DType::f16};

bool right_in(DType type, const Finding& finding) {
  Examination relaxed = finding.last;
  relaxed.precision.accumulate = relaxed.precision.p = type;
  relaxed.precision.scores = type;
  const std::vector<ElementError> errors = element_errors(finding.shrunk.c, relaxed);
  return !errors.empty() && std::none_of(errors.begin(), errors.end(),
                                         [](const ElementError& e) { return e.wrong(); });
}

}  // namespace

std::vector<Cause> causes_from_precision(const Finding& finding) {
  const Verdict& verdict = finding.last.verdict;
  // Rounding shows nearly everywhere; a mistake in some rows alone is another one.
  if (verdict.failure != FailureKind::mismatch || verdict.wrong * 2 <= verdict.checked) return {};
  const DType declared = finding.last.precision.accumulate;
  for (const DType type : lower_types) {
    if (unit_roundoff(type) <= unit_roundoff(declared) || !right_in(type, finding)) continue;
    return {{std::string(entry.name),
             fmt::format("The output is as right as {} arithmetic can make it, not {}, which the "
                         "target declares: a step (the scale, the scores, a sum) is computed or "
                         "kept in {}.",
                         name(type), name(declared), name(type))}};
  }
  return {};
}

std::span<const CauseEntry> precision_table() {
  return {&entry, 1};
}

}  // namespace attnfuzz
