#include "targets/printed_text.h"

#include <algorithm>

namespace attnfuzz {

void PrintedText::append(std::string_view text) {
  const std::string_view first = text.substr(0, first_kept - std::min(first_kept, first_.size()));
  first_ += first;
  last_ += text.substr(first.size());
  if (last_.size() > 2 * last_kept) last_.erase(0, last_.size() - last_kept - 1);
}

void PrintedText::clear() {
  first_.clear();
  last_.clear();
}

std::string PrintedText::lines() const {
  std::string all = first_ + last_;
  if (last_.size() > last_kept) {
    const std::string_view first = std::string_view(first_).substr(0, first_.rfind('\n') + 1);
    std::string_view last = std::string_view(last_).substr(last_.size() - last_kept);
    last.remove_prefix(std::min(last.find('\n') + 1, last.size()));  // npos + 1 is 0
    all = std::string(first) + "[...]\n" + std::string(last);
  }
  std::string text;
  for (const char c : all) text += (c >= ' ' && c <= '~') || c == '\n' || c == '\t' ? c : '?';
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace attnfuzz
