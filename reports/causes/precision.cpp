#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/causes/causes.h"
#include "reports/errors.h"

namespace attnfuzz {
namespace {

constexpr CauseEntry entries[] = {
    {"lower-precision",
     "The output is as right as a lower precision than the declared one can make it."},
    {"output-truncated",
     "Every element is the right one rounded towards zero: the output is truncated to its type "
     "instead of being rounded to nearest."},
};

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

/// No element is larger than it should be, and none is off by more than one step of its type.
bool truncated(const Finding& finding) {
  const double step = 2 * unit_roundoff(finding.original.problem.dtype);
  const std::vector<ElementError> errors = element_errors(finding.original, finding.first);
  return errors.size() > 2 && std::all_of(errors.begin(), errors.end(), [&](const ElementError& e) {
           const double more = std::abs(e.got) - std::abs(e.want);
           return more <= step / 64 * std::abs(e.want) && -more <= 1.1 * step * std::abs(e.want);
         });
}

}  // namespace

std::vector<Cause> causes_from_precision(const Finding& finding) {
  const Verdict& verdict = finding.last.verdict;
  if (verdict.failure == FailureKind::mismatch && truncated(finding))
    return {{std::string(entries[1].name), std::string(entries[1].words)}};
  // Rounding shows nearly everywhere; a mistake in some rows alone is another one.
  if (verdict.failure != FailureKind::mismatch || verdict.wrong * 2 <= verdict.checked) return {};
  const DType declared = finding.last.precision.accumulate;
  for (const DType type : lower_types) {
    if (unit_roundoff(type) <= unit_roundoff(declared) || !right_in(type, finding)) continue;
    return {{std::string(entries[0].name),
             fmt::format("The output is as right as {} arithmetic can make it, not {}, which the "
                         "target declares: a step (the scale, the scores, a sum) is computed or "
                         "kept in {}.",
                         name(type), name(declared), name(type))}};
  }
  return {};
}

std::span<const CauseEntry> precision_table() {
  return entries;
}

}  // namespace attnfuzz
