#include "oracle/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace attnfuzz {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({replaced, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> near_matches(std::string_view word, std::span<const std::string> known) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    const bool contains = word.size() >= 3 && candidate.find(word) != std::string::npos;
    if (contains || distance <= std::max<size_t>(1, word.size() / 3))
      near.emplace_back(distance, candidate);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> words;
  for (auto& [distance, candidate] : near)
    if (words.size() < 3) words.push_back(std::move(candidate));
  return words;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const std::vector<std::string> near = near_matches(word, known);
  std::string text;
  for (size_t k = 0; k < near.size(); ++k)
    text += (k == 0 ? "; did you mean '" : k + 1 < near.size() ? "', '" : "' or '") + near[k];
  return text.empty() ? text : text + "'?";
}

std::string did_you_mean_or_all(std::string_view word, std::span<const std::string> known) {
  const std::string near = did_you_mean(word, known);
  return near.empty() ? fmt::format("; expected one of {}", fmt::join(known, ", ")) : near;
}

}  // namespace attnfuzz
