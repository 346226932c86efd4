#include "reports/causes/text_match.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace attnfuzz {
namespace {

constexpr size_t kLongestGap = 200;

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// The integer at `at`, moving `at` behind it; none if there is none (or it is beyond int64).
std::optional<Captured> integer(std::string_view text, size_t& at) {
  int64_t value = 0;
  const char* first = text.data() + at;
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  const Captured captured{at, static_cast<size_t>(end - first), value};
  at += captured.length;
  return captured;
}

std::vector<Captured> shape(std::string_view text, size_t& at) {
  std::vector<Captured> numbers;
  size_t end = at;
  while (end < text.size()) {
    if (digit(text[end]) || (text[end] == '-' && end + 1 < text.size() && digit(text[end + 1]))) {
      const auto number = integer(text, end);
      if (!number) break;
      numbers.push_back(*number);
      at = end;
      if (at < text.size() && (text[at] == ']' || text[at] == ')' || text[at] == '}')) {
        ++at;
        break;
      }
    } else if (std::string_view("[](),;x{} *").find(text[end]) != std::string_view::npos) {
      ++end;
      if (!numbers.empty() && (text[end - 1] == ']' || text[end - 1] == ')')) {
        at = end;
        break;
      }
    } else {
      break;
    }
  }
  return numbers;
}

/// Moves `at` behind what matched.
bool match_here(std::string_view pattern, std::string_view text, size_t& at, Captures& captures) {
  size_t p = 0;
  while (p < pattern.size()) {
    if (pattern[p] == '*') {
      const std::string_view rest = pattern.substr(p + 1);
      for (size_t gap = 0; gap <= kLongestGap && at + gap <= text.size(); ++gap) {
        Captures attempt = captures;
        size_t behind = at + gap;
        if (match_here(rest, text, behind, attempt)) {
          captures = std::move(attempt);
          at = behind;
          return true;
        }
        if (at + gap < text.size() && text[at + gap] == '\n') break;
      }
      return false;
    }
    if (pattern[p] == '{') {
      const size_t close = pattern.find('}', p);
      std::string_view key = pattern.substr(p + 1, close - p - 1);
      const bool list = key.size() > 2 && key.substr(key.size() - 2) == ":s";
      if (list) {
        key.remove_suffix(2);
        auto numbers = shape(text, at);
        if (numbers.empty()) return false;
        captures[std::string(key)] = std::move(numbers);
      } else {
        const auto number = integer(text, at);
        if (!number) return false;
        captures[std::string(key)] = {*number};
      }
      p = close + 1;
      continue;
    }
    if (space(pattern[p])) {
      if (at >= text.size() || !space(text[at])) return false;
      while (at < text.size() && space(text[at])) ++at;
      ++p;
      continue;
    }
    if (at >= text.size() || lower(text[at]) != lower(pattern[p])) return false;
    ++at;
    ++p;
  }
  return true;
}

}  // namespace

std::optional<Captures> match_text(std::string_view pattern, std::string_view text,
                                   std::string_view* core) {
  for (size_t at = 0; at < text.size(); ++at) {
    Captures captures;
    size_t behind = at;
    if (!match_here(pattern, text, behind, captures)) continue;
    if (core != nullptr) *core = text.substr(at, behind - at);
    return captures;
  }
  return std::nullopt;
}

}  // namespace attnfuzz
