#include "fuzz/measure/rule.h"

#include <algorithm>

namespace attnfuzz::measure {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// How many characters at n are a mark between two numbers of a list; 0: there is none.
size_t list_mark(const std::string& words, size_t n) {
  for (const std::string_view mark : {"–", ", "})
    if (words.compare(n, mark.size(), mark) == 0 && n + mark.size() < words.size() &&
        is_digit(words[n + mark.size()]))
      return mark.size();
  return 0;
}

}  // namespace

std::string rule_of(const std::string& words) {
  const std::string first = words.substr(0, std::min(words.find(". "), words.find(" (Seen in")));
  std::string rule;
  for (size_t n = 0; n < first.size(); ++n) {
    const char c = first[n];
    const size_t end = c == '(' ? first.find(')', n) : std::string::npos;
    if (end != std::string::npos &&
        std::any_of(first.begin() + static_cast<std::ptrdiff_t>(n),
                    first.begin() + static_cast<std::ptrdiff_t>(end), is_digit)) {
      n = end;
      continue;
    }
    const bool is_sign = c == '-' && n + 1 < first.size() && is_digit(first[n + 1]);
    // "0–3, 5" is as much a number as "4" is.
    if (const size_t more = list_mark(first, n); more > 0 && !rule.empty() && rule.back() == '#')
      n += more - 1;
    else if (!is_digit(c) && !is_sign)
      rule += c;
    else if (rule.empty() || rule.back() != '#')
      rule += '#';
  }
  return rule;
}

std::string without_numbers(std::string_view text) {
  std::string form;
  for (const char c : text) {
    if (!is_digit(c)) {
      form += c;
    } else if (!form.ends_with('#')) {
      for (const std::string_view list : {"#, ", "#,"})
        if (form.ends_with(list)) form.resize(form.size() - list.size());
      form += '#';
    }
  }
  return form;
}

std::string without_counts(const std::string& words) {
  const std::string said =
      words.substr(0, std::min(words.find(" Seen at"), words.find(" (Seen in")));
  std::string kept;
  for (size_t n = 0; n < said.size(); ++n) {
    size_t end = n;
    while (end < said.size() && is_digit(said[end])) ++end;
    const std::string_view behind = std::string_view(said).substr(end);
    const bool counts = behind.starts_with(" queries") || behind.starts_with(" of ");
    if (end == n || !counts) end = std::max(end, n + 1);
    if (!(counts && is_digit(said[n]))) kept += said.substr(n, end - n);
    n = end - 1;
  }
  return kept;
}

}  // namespace attnfuzz::measure
