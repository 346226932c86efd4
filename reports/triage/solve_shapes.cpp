#include <algorithm>

#include "reports/triage/shape_states.h"

namespace attnfuzz::triage {
namespace {

/// The slots of the shapes as the state has them.
std::vector<Slot> slots_of(const State& state, const std::vector<Mention>& mentions,
                           const ShapeStates& shapes) {
  std::vector<Slot> slots;
  for (size_t k = 0; k < shapes.count; ++k) {
    const Mention& shape = mentions[shapes.mentions[k]];
    for (size_t n = 0; n < shape.sizes.size(); ++n)
      slots.push_back(
          {shapes.mentions[k], n, shape.sizes[n].value, state.stands[k][n], state.roles[k]});
  }
  return slots;
}

/// Whether a number is compared with what stands before it: "900 != 676", "query.shape[-1] < 64".
bool is_compared(std::string_view before) {
  static constexpr std::string_view signs[] = {"<",       ">",         "=",   " vs",
                                               "instead", "not equal", "than"};
  const std::string_view last = before.substr(before.size() - std::min<size_t>(before.size(), 16));
  return std::any_of(std::begin(signs), std::end(signs),
                     [&](std::string_view sign) { return last.find(sign) != last.npos; });
}

/// A number that no shape has: the axis of the size with which it is compared, or that at the
/// dimension of a tensor which stands right before it.
void compared(Slot& slot, const std::vector<Slot>& slots, const std::vector<Slot>& shaped,
              const std::vector<Mention>& mentions) {
  const Mention& number = mentions[slot.mention];
  if (slot.mention == 0 || !is_compared(number.before)) return;
  const Mention& last = mentions[slot.mention - 1];
  if (is_number(last)) {
    for (const Slot& each : slots)
      if (each.mention + 1 == slot.mention) slot.axis = each.axis;
    return;
  }
  if (last.kind != Mention::Kind::dim) return;
  const int64_t dim = last.sizes[0].value;
  for (const Slot& each : shaped) {
    const auto rank = static_cast<int64_t>(mentions[each.mention].sizes.size());
    if (static_cast<int64_t>(each.place) != (dim < 0 ? rank + dim : dim)) continue;
    slot.axis = each.axis;
    slot.of = each.of;
    return;
  }
}

/// A number alone stands for the size of a shape that it repeats, preferably one on which the
/// shapes differ, or that at the dimension which the text names.
void link(std::vector<Slot>& slots, const std::vector<Slot>& shaped, size_t mention,
          const std::vector<Mention>& mentions, size_t index, int64_t dim) {
  const Mention& number = mentions[mention];
  Slot slot{mention, 0, number.sizes[0].value, Axis::none, Role::none};
  double best = -1;
  for (const Slot& each : shaped) {
    if (each.value != slot.value) continue;
    const Mention& shape = mentions[each.mention];
    double score = 0;
    if (dim >= 0 && each.place == static_cast<size_t>(dim)) score += 2;
    if (dim < 0 && dim >= -8 && each.place + static_cast<size_t>(-dim) == shape.sizes.size())
      score += 2;
    bool differs = false;  // from the other shape's size there, counted from the right
    size_t nth = 0, seen = SIZE_MAX;
    for (const Slot& other : shaped) {
      if (other.mention != seen) nth += seen != SIZE_MAX, seen = other.mention;
      if (other.mention == each.mention && nth == index) score += .5;
      if (other.mention != each.mention &&
          mentions[other.mention].sizes.size() - other.place == shape.sizes.size() - each.place)
        differs = differs || other.value != each.value;
    }
    score += differs ? 1 : 0;
    if (score > best) {
      best = score;
      slot.axis = each.axis;
      slot.of = each.of;
    }
  }
  if (slot.axis == Axis::none && slot.value > 1) compared(slot, slots, shaped, mentions);
  slots.push_back(slot);
}

/// "seq_lens" beside a cache alone counts what is in it, beside queries what comes.
Axis named_axis(const AxisGuess& word, const State& state) {
  const auto is_kept = [](Role role) { return role == Role::cache || role == Role::pages; };
  const bool kept =
      !state.roles.empty() && std::all_of(state.roles.begin(), state.roles.end(), is_kept);
  return word.any_length && kept ? Axis::kv_len : word.axis;
}

}  // namespace

void solve_shapes(const std::vector<Mention>& mentions, const Evidence& evidence,
                  const Weights& weights, std::vector<Scored>& found) {
  // A number that its words name is a size that is known.
  Evidence known = evidence;
  for (size_t k = 0; k < mentions.size(); ++k)
    if (is_number(mentions[k]))
      if (const NumberLabel label = label_of_number(mentions, k);
          label.axis.strength >= .6 && !label.inherited && !label.axis.any_length)
        known.facts.push_back({label.axis.axis, mentions[k].sizes[0].value, Role::none, .7, false});
  const ShapeStates shapes = shape_states(mentions, known, weights);
  const int64_t dim = dimension_in(mentions);
  for (const State& state : shapes.states) {
    Scored scored{state.score, {}};
    scored.reading.form = state.form;
    scored.reading.a = state.roles.empty() ? Role::none : state.roles[0];
    scored.reading.b = state.roles.size() > 1 ? state.roles[1] : Role::none;
    const std::vector<Slot> shaped = slots_of(state, mentions, shapes);
    std::vector<Slot> slots = shaped;
    size_t index = 0;
    for (size_t k = 0; k < mentions.size(); ++k) {
      if (!is_number(mentions[k])) continue;
      const NumberLabel label = label_of_number(mentions, k);
      if (label.axis.strength >= .6 && !label.inherited && label.axis.axis != Axis::none)
        slots.push_back(
            {k, 0, mentions[k].sizes[0].value, named_axis(label.axis, state), Role::none});
      else
        link(slots, shaped, k, mentions, index, dim);
      ++index;
    }
    std::stable_sort(slots.begin(), slots.end(), [](const Slot& x, const Slot& y) {
      return x.mention < y.mention || (x.mention == y.mention && x.place < y.place);
    });
    scored.reading.slots = std::move(slots);
    found.push_back(std::move(scored));
  }
}

}  // namespace attnfuzz::triage
