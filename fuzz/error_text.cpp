#include "fuzz/error_text.h"

#include <algorithm>
#include <charconv>
#include <span>

namespace attnfuzz {
namespace {

bool is_digit(char x) {
  return x >= '0' && x <= '9';
}
bool is_letter(char x) {
  return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || x == '_';
}

/// Words before a number that tells which one is meant, not how large it is.
constexpr std::string_view selecting[] = {
    "dim",    "dimension", "axis",    "argument", "arg",    "args", "argv",  "pos",   "position",
    "number", "operand",   "missing", "at index", "signal", "code", "opset", "input", "output"};
/// Words before a number that says nothing about the case.
constexpr std::string_view numbering[] = {"line", "step", "seed", "pid", "offset", "address"};

/// Whether one of the words stands right before `offset`, over spaces and the like.
bool stands_before(std::string_view text, size_t offset, std::span<const std::string_view> words) {
  text = text.substr(0, offset);
  while (text.ends_with(' ') || text.ends_with('#') || text.ends_with('=')) text.remove_suffix(1);
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.ends_with(word) &&
           (text.size() == word.size() || !is_letter(text[text.size() - word.size() - 1]));
  });
}

/// A list's number: "either 1. do this, or 2. do that".
bool counts_a_list(std::string_view text, size_t offset, size_t length) {
  constexpr std::string_view before[] = {"either", "or"};
  return text.substr(offset + length).starts_with(". ") && stands_before(text, offset, before);
}

/// The number alone in brackets or the first of a slice: "args[2]", "argv[1:]".
bool is_index(std::string_view text, size_t offset, size_t length) {
  const std::string_view after = text.substr(offset + length, 1);
  return offset > 1 && text[offset - 1] == '[' && is_letter(text[offset - 2]) &&
         (after == "]" || after == ":");
}

/// The process's number, as sanitizers write it: "==4711==ERROR".
bool is_process(std::string_view text, size_t offset, size_t length) {
  return text.substr(0, offset).ends_with("==") && text.substr(offset + length).starts_with("==");
}

TextNumber::Role role_of(std::string_view text, size_t offset, size_t length) {
  using Role = TextNumber::Role;
  if (is_process(text, offset, length)) return Role::noise;
  if (offset > 0 && text[offset - 1] == '-') return Role::constant;
  if (offset > 1 && text[offset - 1] == ':' && is_letter(text[offset - 2])) return Role::noise;
  constexpr size_t longest = 9;
  if (length > longest) return Role::noise;
  if (stands_before(text, offset, selecting) || counts_a_list(text, offset, length) ||
      (is_index(text, offset, length) && stands_before(text, offset - 1, selecting)))
    return Role::constant;
  if (stands_before(text, offset, numbering)) return Role::noise;
  return Role::size;
}

/// The end of what starts with digits at `from`: "37", "2.6.0", "1e-05", "0x7f3a".
size_t number_end(std::string_view text, size_t from) {
  const auto at = [&](size_t k) { return k < text.size() ? text[k] : ' '; };
  size_t end = from;
  while (is_digit(at(end)) || is_letter(at(end)) || (at(end) == '.' && is_digit(at(end + 1))) ||
         ((at(end) == '-' || at(end) == '+') && at(end - 1) == 'e' && is_digit(at(end + 1))))
    ++end;
  return end;
}

}  // namespace

std::vector<TextNumber> numbers_in(std::string_view text) {
  std::vector<TextNumber> found;
  for (size_t k = 0; k < text.size();) {
    if (is_letter(text[k])) {
      while (k < text.size() && (is_letter(text[k]) || is_digit(text[k]))) ++k;
      continue;
    }
    if (!is_digit(text[k])) {
      ++k;
      continue;
    }
    const size_t end = number_end(text, k);
    const std::string_view digits = text.substr(k, end - k);
    TextNumber number{k, end - k, 0, TextNumber::Role::noise};
    if (std::all_of(digits.begin(), digits.end(), is_digit)) {
      std::from_chars(digits.data(), digits.data() + digits.size(), number.value);
      number.role = role_of(text, k, end - k);
    }
    found.push_back(number);
    k = end;
  }
  return found;
}

std::string_view dedup_text(std::string_view text) {
  for (const std::string_view stack :
       {"\nException raised from", "\nframe #", "\n  File ", "\n    #0 0x"})
    text = text.substr(0, text.find(stack));
  return text;
}

}  // namespace attnfuzz
