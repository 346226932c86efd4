#include <algorithm>

#include "reports/causes/causes.h"
#include "reports/errors.h"

namespace attnfuzz {
namespace {

constexpr CauseEntry table[] = {
    {"never-written",
     "The wrong elements hold what an output is filled with before the call (all bits 1, a NaN "
     "that no "
     "arithmetic gives): the target never writes them."},
};

}  // namespace

std::vector<Cause> causes_from_unwritten(const Finding& finding) {
  if (finding.last.verdict.failure != FailureKind::nan) return {};
  const std::vector<ElementError> errors = element_errors(finding.shrunk.c, finding.last);
  const auto wrong =
      std::count_if(errors.begin(), errors.end(), [](const ElementError& e) { return e.wrong(); });
  const auto written = std::count_if(errors.begin(), errors.end(), [](const ElementError& e) {
    return e.wrong() && !e.unwritten;
  });
  if (wrong == 0 || written > 0) return {};
  return {{std::string(table[0].name), std::string(table[0].words)}};
}

std::span<const CauseEntry> unwritten_table() {
  return table;
}

}  // namespace attnfuzz
