#include <algorithm>

#include "reports/triage/solving.h"

/// What stands beside a number.
namespace attnfuzz::triage {
namespace {

/// Words that end one phrase and begin the next.
constexpr std::string_view kBreaks[] = {
    "must be",   "must match",  "should be", "but got", "but is", "expected", "exceeds",
    "divisible", "multiple of", " got ",     " vs",     " than ", "(got ",    " and ",
    " by ",      " to be ",     " is ",      ", ",      "; ",     "!=",       "==",
    "<=",        ">=",          " with ",    " but "};

/// "got", "must be", "/": whatever is counted stands before.
bool says_nothing(std::string_view between) {
  static constexpr std::string_view words[] = {
      "got",  "but", "expected", "is",    "and", "or", "instead", "vs",  "than",     "actual",
      "must", "be",  "same",     "equal", "to",  "of", "found",   "was", "received", "not"};
  const std::vector<std::string> said = words_of(between);
  return std::all_of(said.begin(), said.end(), [&](const std::string& word) {
    return std::find(std::begin(words), std::end(words), word) != std::end(words);
  });
}

/// "but got": the same is counted again.
bool says_instead(std::string_view between) {
  static constexpr std::string_view words[] = {"got",   "expected", "actual",
                                               "found", "instead",  "received"};
  const std::vector<std::string> said = words_of(between);
  return says_nothing(between) &&
         std::any_of(said.begin(), said.end(), [](const std::string& word) {
           return std::find(std::begin(words), std::end(words), word) != std::end(words);
         });
}

}  // namespace

std::pair<std::string_view, std::string_view> phrases(std::string_view before) {
  size_t cut = 0, end = before.size();
  const auto last_break = [&](std::string_view text) {
    size_t at = 0;
    for (const std::string_view each : kBreaks)
      if (const size_t found = text.rfind(each); found != text.npos)
        at = std::max(at, found + each.size());
    return at;
  };
  while (end > 0 && std::string_view(" =:([{'\"`").find(before[end - 1]) != before.npos) --end;
  before = before.substr(0, end);
  cut = last_break(before);
  if (const size_t colon = before.find_last_of(":;{"); colon != before.npos)
    cut = std::max(cut, colon + 1);
  const std::string_view last = before.substr(cut, end - cut);
  const std::string_view rest = before.substr(0, cut == 0 ? 0 : cut - 1);
  return {last, rest};
}

NumberLabel label_of_number(const std::vector<Mention>& mentions, size_t index) {
  NumberLabel label;
  const Mention& number = mentions[index];
  if (!number.sizes[0].name.empty()) {
    label.axis = axis_of(number.sizes[0].name);
    return label;
  }
  const auto [last, rest] = phrases(number.before);
  label.role = label_before(last);
  label.axis = axis_of(last.substr(std::min(last.find_first_not_of("'\"` ,"), last.size())));
  if (label.axis.axis != Axis::none && label.axis.strength >= .5) return label;
  // "8 heads"
  if (const AxisGuess guess = axis_counted(number.after);
      guess.axis != Axis::none && guess.axis != Axis::hidden && guess.strength >= .7) {
    label.axis = guess;
    return label;
  }
  label.inherited = true;
  label.same = index > 0 && says_nothing(number.before);
  label.instead = index > 0 && says_instead(number.before);
  // "nb=32": a name that says nothing is a name all the same.
  if (number.before.ends_with('=') && !words_of(last).empty()) return label;
  const bool empty = words_of(last).size() <= 1;
  if (empty || label.axis.axis == Axis::none) {
    constexpr double farther = .65;
    label.axis = axis_of(rest);
    if (!empty) label.axis.strength *= farther;
  }
  if (empty && label.axis.axis == Axis::none && index > 0) {
    const NumberLabel before =
        is_shape(mentions[index - 1]) ? NumberLabel{} : label_of_number(mentions, index - 1);
    label.axis = before.axis;
    label.role = before.role;
  }
  return label;
}

int64_t dimension_in(const std::vector<Mention>& mentions) {
  int64_t dim = kNoDim;
  for (const Mention& each : mentions)
    if (each.kind == Mention::Kind::dim) dim = each.sizes[0].value;
  return dim;
}

}  // namespace attnfuzz::triage
