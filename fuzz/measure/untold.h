#pragma once
#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// How statements begin that tell what was seen, for which no rule was found. Many bugs have them.
inline constexpr std::string_view untold_hidden =
    "Queries see keys of their row that the case hides.";
inline constexpr std::string_view untold_shown = "Queries do not see keys that the case shows.";
inline constexpr std::string_view untold_foreign = "Queries take ";
inline constexpr std::string_view untold_weights =
    "The right tokens are taken, with wrong weights: ";
inline constexpr std::string_view untold_sum =
    "The right tokens are taken with equal weights, which add up to ";
inline constexpr std::string_view untold_other = "takes that of other tokens";
inline constexpr std::string_view untold_no_sum = "Outputs are no weighted sums of the values";
inline constexpr std::string_view untold_gradient = "the gradient of scores is wrong";
inline constexpr std::string_view untold_query = "another q: that of another query";
inline constexpr std::string_view untold_number = "No size or count is as many.";
inline constexpr std::string_view untold_scale =
    "Scores have another scale, which no size of the case gives.";
inline constexpr std::string_view untold_one_case = "One failing case alone was measured.";
inline constexpr std::string_view untold_place = "is right for another row of the output: ";
inline constexpr std::string_view untold_state =
    "Queries read tokens from the state with other weights than";
inline constexpr std::string_view untold[] = {
    untold_state,   untold_place,  untold_hidden, untold_shown,   untold_foreign,
    untold_weights, untold_sum,    untold_other,  untold_no_sum,  untold_gradient,
    untold_query,   untold_number, untold_scale,  untold_one_case};

/// "when": the condition under which the failure happens; "mostly": one under which alone it does.
inline bool says_when(const Statement& statement) {
  return statement.about == "when" || statement.about == "mostly";
}
/// Whether a statement says what the target does, and not only when; or draws it.
inline bool says_what(const Statement& statement) {
  return statement.about != "picture" && !says_when(statement);
}
inline bool say_what(const std::vector<Statement>& statements) {
  return std::any_of(statements.begin(), statements.end(),
                     [](const Statement& each) { return says_what(each); });
}

/// Whether a statement tells a rule.
inline bool is_told(const Statement& statement) {
  return std::none_of(std::begin(untold), std::end(untold), [&](std::string_view begin) {
    return statement.words.find(begin) != std::string::npos;
  });
}

}  // namespace attnfuzz::measure
