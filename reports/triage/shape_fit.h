#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "reports/triage/grammar.h"
#include "reports/triage/layouts.h"
#include "reports/triage/words.h"

/// How well layouts fit shapes, and each other, by themselves.
namespace attnfuzz::triage {

/// A layout's axes; the letter 1 stands for an axis of size 1.
std::vector<Axis> axes_of_letters(std::string_view letters);

/// The logarithm of a layout's share among those of its role.
double log_weight(const Layout& layout, std::span<const Layout> layouts);

/// How many axes of size 1 stand in front of the others.
size_t leading_ones(const Mention& shape);

/// "[32, 40]->[32, 1, 40]": the second is the first with axes of size 1.
bool is_seen_as(const Mention& first, const Mention& second);

/// Heads before the length, behind it, or no such order. Scores have their heads first, however
/// the queries are laid out.
int head_order(const std::vector<Axis>& axes, Role role);

/// How far a word for an axis speaks for this one.
double by_word(const AxisGuess& word, Axis axis);

/// What a product sums over is one axis in both.
double product_fit(const std::vector<Axis>& one, const std::vector<Axis>& two);

/// How likely a tensor of this role is viewed in another shape; is in a message alone.
double view_prior(Role role);
double role_prior(Role role);

}  // namespace attnfuzz::triage
