#pragma once
#include <span>
#include <string_view>

/// Characters and words of an error text, for those who look for shapes and numbers in it.
namespace attnfuzz::triage {

inline bool is_digit(char x) {
  return x >= '0' && x <= '9';
}
inline bool is_letter(char x) {
  return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || x == '_';
}
inline bool is_word(char x) {
  return is_letter(x) || is_digit(x);
}
inline char at(std::string_view text, size_t k) {
  return k < text.size() ? text[k] : '\0';
}

/// Calls visit(name) for the names in a line: identifiers, whole, as parts of the line.
template <class Visit>
void each_name(std::string_view line, const Visit& visit) {
  for (size_t k = 0; k < line.size();) {
    if (!is_word(line[k])) {
      ++k;
      continue;
    }
    const size_t from = k;
    while (k < line.size() && is_word(line[k])) ++k;
    visit(line.substr(from, k - from));
  }
}

/// The end of what stands before `end`, at most so many characters.
std::string_view last_words(std::string_view text, size_t end, size_t most);
/// Whether the text ends with one of the words, over spaces and the like.
bool ends_with_word(std::string_view text, std::span<const std::string_view> words);
bool starts_with_word(std::string_view text, std::span<const std::string_view> words);

}  // namespace attnfuzz::triage
