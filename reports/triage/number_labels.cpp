#include <algorithm>

#include "reports/triage/letters.h"
#include "reports/triage/solving.h"
#include "reports/triage/text_parts.h"

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

/// The sentence that goes on at the end, and of it no more than a few words.
std::string_view clause_at_end(std::string_view text) {
  for (const std::string_view end : {": ", ". ", "! "})
    if (const size_t at = text.rfind(end); at != text.npos) text.remove_prefix(at + end.size());
  return text;
}

/// "headDim" of "32 <= headDim": what the number is compared with, where that stands behind it.
AxisGuess compared_behind(std::string_view after) {
  while (after.starts_with(' ') || after.starts_with(')')) after.remove_prefix(1);
  size_t sign = 0;
  while (sign < after.size() &&
         std::string_view("<>=!").find(after[sign]) != std::string_view::npos)
    ++sign;
  if (sign == 0 || after.substr(0, sign) == "=") return {};
  after.remove_prefix(sign);
  after.remove_prefix(std::min(after.find_first_not_of(' '), after.size()));
  size_t end = 0;
  while (end < after.size() && is_word(after[end])) ++end;
  return end > 1 ? axis_of(after.substr(0, end)) : AxisGuess{};
}

/// The name that a number is given: "Sq" of "B=[16], Sq=[".
std::string_view name_before(std::string_view before) {
  while (!before.empty() && std::string_view(" [(").find(before.back()) != std::string_view::npos)
    before.remove_suffix(1);
  if (before.empty() || (before.back() != '=' && before.back() != ':')) return {};
  before.remove_suffix(1);
  while (before.ends_with(' ')) before.remove_suffix(1);
  size_t from = before.size();
  while (from > 0 && is_word(before[from - 1])) --from;
  return before.substr(from);
}

/// Of a number that goes by a single letter: what it is beside the others' names ("B=16, N=20").
AxisGuess by_letters(const std::vector<Mention>& mentions, size_t index) {
  if (name_before(mentions[index].before).size() != 1) return {};
  std::vector<std::string> names;
  size_t here = 0;
  for (size_t k = 0; k < mentions.size(); ++k) {
    if (!is_number(mentions[k])) continue;
    const std::string_view name = name_before(mentions[k].before);
    if (name.empty()) continue;
    if (k == index) here = names.size();
    names.emplace_back(name);
  }
  return names.size() < 2 ? AxisGuess{} : axes_of_names(names)[here];
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
  if (const AxisGuess guess = by_letters(mentions, index); guess.strength >= .5) {
    label.axis = guess;
    return label;
  }
  const auto [last, rest] = phrases(number.before);
  label.role = label_before(last);
  label.axis = axis_of(last.substr(std::min(last.find_first_not_of("'\"` ,"), last.size())));
  if (label.axis.axis != Axis::none && label.axis.strength >= .5) return label;
  if (const AxisGuess guess = compared_behind(number.after); guess.strength >= .5) {
    label.axis = guess;
    return label;
  }
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
    label.axis = axis_of(clause_at_end(rest));
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
