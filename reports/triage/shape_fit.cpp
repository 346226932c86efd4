#include "reports/triage/shape_fit.h"

#include <cmath>

namespace attnfuzz::triage {

std::vector<Axis> axes_of_letters(std::string_view letters) {
  std::vector<Axis> axes;
  for (const char letter : letters) axes.push_back(axis_of_letter(letter));
  return axes;
}

double log_weight(const Layout& layout, std::span<const Layout> layouts) {
  double all = 0;
  for (const Layout& row : layouts) all += row.weight;
  return std::log(layout.weight / all);
}

size_t leading_ones(const Mention& shape) {
  const size_t rank = shape.sizes.size();
  const auto is_one = [&](size_t k) {
    return shape.sizes[shape.is_reversed ? rank - 1 - k : k].value == 1;
  };
  size_t count = 0;
  while (count + 2 < rank && is_one(count)) ++count;
  return count;
}

bool is_seen_as(const Mention& first, const Mention& second) {
  if (second.before != "->" || second.sizes.size() < first.sizes.size()) return false;
  size_t next = 0;
  for (const Size& size : second.sizes)
    if (next < first.sizes.size() && first.sizes[next].value == size.value)
      ++next;
    else if (size.value != 1)
      return false;
  return next == first.sizes.size();
}

int head_order(const std::vector<Axis>& axes, Role role) {
  if (role == Role::scores || role == Role::mask || role == Role::bias) return 0;
  int heads = -1, length = -1;
  for (size_t k = 0; k < axes.size(); ++k) {
    if (is_heads(axes[k])) heads = static_cast<int>(k);
    if (is_length(axes[k]) || axes[k] == Axis::capacity) length = static_cast<int>(k);
  }
  return heads < 0 || length < 0 ? 0 : heads < length ? 1 : -1;
}

double by_word(const AxisGuess& word, Axis axis) {
  constexpr double agrees = 3, against = 2.5;
  if (word.axis == Axis::none) return 0;
  if (word.axis == axis) return agrees * word.strength;
  if (word.any_length && (is_length(axis) || axis == Axis::capacity))
    return agrees * word.strength - .2;
  if (is_same_kind(word.axis, axis)) return .5;
  return -against * word.strength;
}

double product_fit(const std::vector<Axis>& one, const std::vector<Axis>& two) {
  if (one.size() < 2 || two.size() < 2) return -2;
  const Axis inner = one.back(), other = two[two.size() - 2], last = two.back();
  double score = is_same_kind(inner, other) ? .5 : is_same_kind(inner, last) ? -1 : -3;
  for (size_t k = 3; k <= std::min(one.size(), two.size()); ++k)
    if (!is_same_kind(one[one.size() - k], two[two.size() - k])) score -= 1.5;
  return score;
}

double view_prior(Role role) {
  switch (role) {
    case Role::q:
    case Role::hidden:
      return -1.5;
    case Role::k:
      return -1.8;
    case Role::v:
    case Role::cache:
      return -2.2;
    case Role::scores:
    case Role::pages:
      return -2.8;
    default:
      return -3.5;
  }
}

double role_prior(Role role) {
  switch (role) {
    case Role::q:
    case Role::k:
      return role == Role::q ? -1.4 : -2.1;
    case Role::mask:
    case Role::cache:
    case Role::hidden:
      return -1.9;
    case Role::v:
    case Role::scores:
    case Role::bias:
    case Role::pages:
      return -2.5;
    default:
      return -3.5;
  }
}

}  // namespace attnfuzz::triage
