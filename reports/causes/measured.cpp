#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

constexpr CauseEntry names[] = {
    {"measured-tokens",
     "experiments on the target show which tokens' values a query takes, and which it should"},
};

}  // namespace

std::vector<Cause> causes_from_measurement(const Finding& finding) {
  std::vector<Cause> causes;
  for (const measure::Statement& each : finding.measured)
    causes.push_back({"measured-" + each.about, "Measured: " + each.words});
  return causes;
}

std::span<const CauseEntry> measured_table() {
  return names;
}

}  // namespace attnfuzz
