#include "reports/triage/number_words.h"

#include <algorithm>
#include <cstdint>

#include "reports/triage/text_parts.h"

namespace attnfuzz::triage {
namespace {

struct NumberWord {
  std::string_view word;
  int64_t value;
};
constexpr NumberWord kUnits[] = {
    {"two", 2},        {"three", 3},     {"four", 4},      {"five", 5},     {"six", 6},
    {"seven", 7},      {"eight", 8},     {"nine", 9},      {"ten", 10},     {"eleven", 11},
    {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14}, {"fifteen", 15}, {"sixteen", 16},
    {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19}, {"one", 1}};
constexpr NumberWord kTens[] = {{"twenty", 20}, {"thirty", 30},  {"forty", 40},  {"fifty", 50},
                                {"sixty", 60},  {"seventy", 70}, {"eighty", 80}, {"ninety", 90}};

/// 0 for a word that is no number.
int64_t value_of(std::string_view word) {
  for (const NumberWord& row : kUnits)
    if (row.word == word) return row.value;
  for (const NumberWord& row : kTens) {
    if (!word.starts_with(row.word)) continue;
    const std::string_view rest = word.substr(row.word.size());
    if (rest.empty()) return row.value;
    const int64_t unit = rest.starts_with("-") ? value_of(rest.substr(1)) : 0;
    if (unit > 0 && unit < 10) return row.value + unit;
  }
  return 0;
}

}  // namespace

std::string with_digits(std::string_view line) {
  std::string out;
  for (size_t k = 0; k < line.size();) {
    const size_t from = k;
    while (k < line.size() && (is_word(line[k]) || (k > from && line[k] == '-'))) ++k;
    const std::string_view word = line.substr(from, k - from);
    const int64_t value = value_of(word);
    out += value > 1 ? std::to_string(value) : std::string(word);
    if (k < line.size()) out += line[k++];
  }
  return out;
}

}  // namespace attnfuzz::triage
