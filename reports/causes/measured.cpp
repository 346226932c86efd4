#include "fuzz/measure/untold.h"
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
    {"measured-storage", "what a quantised cache makes of a value"},
    {"measured-gradients", "from which dS the gradients dq and dk come"},
    {"measured-calls", "whether a second call gives other bits by chance"},
    {"seen-tokens", "that other tokens are taken than the case says, without a rule for it"},
    {"seen-scores", "that tokens get other weights than the case says, without a rule for it"},
    {"seen-queries", "that weights come from the q of other queries, without a rule for it"},
    {"seen-rotation", "that rope rotates by other positions, without a rule for them"},
    {"seen-state", "that a state keeps other tokens than the case says, without a rule for it"},
    {"seen-gradients", "that dq or dk come from another dS, without a rule for it"},
    {"when", "in which queries, steps or cases the failure happens"},
};

/// That memory takes part is seen of many bugs that compute a wrong address, mask or sum.
bool is_law(const measure::Statement& statement) {
  return measure::is_told(statement) && statement.about != "memory";
}

}  // namespace

std::vector<Cause> causes_from_measurement(const Finding& finding, bool law) {
  std::vector<Cause> causes;
  for (const bool told : {true, false})
    for (const measure::Statement& each : finding.measured)
      if (measure::says_what(each) && measure::is_told(each) == told && is_law(each) == law)
        causes.push_back({(told ? "measured-" : "seen-") + each.about, "Measured: " + each.words});
  return causes;
}

std::span<const CauseEntry> measured_table() {
  return names;
}

}  // namespace attnfuzz
