#include "reports/triage/text_parts.h"

#include <algorithm>

namespace attnfuzz::triage {

std::string_view last_words(std::string_view text, size_t end, size_t most) {
  text = text.substr(0, end);
  return text.substr(text.size() - std::min(text.size(), most));
}

bool ends_with_word(std::string_view text, std::span<const std::string_view> words) {
  while (!text.empty() && std::string_view(" #=:(\"'`").find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  for (const std::string_view skipped : {" is", " of", " no", " number"})
    if (text.ends_with(skipped)) text.remove_suffix(skipped.size());
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    if (text.size() < word.size()) return false;
    const std::string_view tail = text.substr(text.size() - word.size());
    const bool same = std::equal(tail.begin(), tail.end(), word.begin(),
                                 [](char x, char y) { return (x | 32) == (y | 32) || x == y; });
    return same && (text.size() == word.size() || !is_word(text[text.size() - word.size() - 1]));
  });
}

bool starts_with_word(std::string_view text, std::span<const std::string_view> words) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '-')) text.remove_prefix(1);
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.starts_with(word) && !is_word(at(text, word.size()));
  });
}

}  // namespace attnfuzz::triage
