#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

constexpr CauseEntry names[] = {
    {"measured-tokens", "which tokens' values a query takes, and how often"},
    {"measured-memory", "whether memory that no token was written to takes part"},
    {"measured-precision", "by how much its weights are off, where that is a rounding"},
    {"measured-scores", "the weights that it gives them"},
    {"measured-queries", "whose q they come from"},
    {"measured-keys", "whose keys"},
    {"measured-rotation", "by which positions rope rotates q and k"},
    {"measured-parts", "how parts of the keys are merged"},
    {"measured-levels", "what the softmax does with very low or high scores"},
    {"measured-addresses", "which element of a mask or bias is read"},
    {"measured-places", "which rows of an output hold what other rows should"},
    {"measured-factor", "by what an output is multiplied that is right but for that"},
    {"measured-state", "what a state keeps of each token"},
    {"measured-calls", "whether a second call gives other bits by chance"},
};

}  // namespace

std::vector<Cause> causes_from_measurement(const Finding& finding) {
  std::vector<Cause> causes;
  for (const measure::Statement& each : finding.measured)
    if (each.about != "picture")
      causes.push_back({"measured-" + each.about, "Measured: " + each.words});
  return causes;
}

std::span<const CauseEntry> measured_table() {
  return names;
}

}  // namespace attnfuzz
