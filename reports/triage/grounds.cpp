#include <algorithm>

#include "reports/triage/scenes.h"
#include "reports/triage/solving.h"

namespace attnfuzz::triage {
namespace {

constexpr double kLeast = .6;   ///< strength of a word that names an axis or a tensor
constexpr double kTensor = .7;  ///< what it is worth that the text names the tensor, not the axis

bool is_stated(const Slot& slot, const Evidence& evidence) {
  constexpr double least = .4;
  return std::any_of(evidence.facts.begin(), evidence.facts.end(), [&](const Fact& fact) {
    return fact.value == slot.value && fact.axis == slot.axis && fact.weight >= least;
  });
}

double ground_of(const Slot& slot, const std::vector<Mention>& mentions, const Evidence& evidence) {
  const Mention& mention = mentions[slot.mention];
  if (is_stated(slot, evidence)) return 1;
  if (is_number(mention)) {
    const AxisGuess& word = label_of_number(mentions, slot.mention).axis;
    const bool same = word.axis == slot.axis || (word.any_length && is_length(slot.axis));
    return same && word.strength >= kLeast ? 1 : 0;
  }
  if (axis_of(mention.sizes[slot.place].name).axis == slot.axis) return 1;
  const RoleGuess label = label_before(mention.before);
  return label.strength >= kLeast ? kTensor * likeness(label.role, slot.of) : 0;
}

}  // namespace

double grounded(const Candidate& reading, const std::vector<Mention>& mentions,
                const Evidence& evidence) {
  double all = 0;
  size_t count = 0;
  for (const Slot& slot : reading.slots) {
    if (slot.value <= 1 || slot.axis == Axis::none) continue;
    all += ground_of(slot, mentions, evidence);
    ++count;
  }
  return count == 0 ? 0 : all / static_cast<double>(count);
}

}  // namespace attnfuzz::triage
