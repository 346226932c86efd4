#include "fuzz/coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace attnfuzz {
namespace {

uint32_t point(std::string_view text) {
  uint32_t h = 0x811c9dc5U;  // FNV-1a, 32 bits
  for (const char x : text) h = (h ^ static_cast<unsigned char>(x)) * 0x01000193U;
  return (h ^ h >> 16) % coverage_points;
}

std::string_view kind_of(int64_t size) {
  if (size <= 1) return size == 0 ? "0" : "1";
  if (std::has_single_bit(static_cast<uint64_t>(size))) return "2^n";
  return size % 2 == 1 ? "odd" : "even";
}

/// How a size lies to the nearest multiple of a tile: "-1", "0", "+1", or nothing.
std::string_view edge_of(int64_t size, int64_t tile) {
  const int64_t rest = size % tile;
  if (size < tile - 1 || tile < 3) return "";
  return rest == 0 ? "0" : rest == 1 ? "+1" : rest == tile - 1 ? "-1" : "";
}

std::vector<std::string> size_words(const Case& c, const Capabilities& capabilities) {
  std::vector<std::string> words;
  for (const ProblemSize& size : problem_sizes()) {
    const int64_t value = c.problem.*size.member;
    words.push_back(fmt::format("{}={}", size.name, kind_of(value)));
    const auto tiles = capabilities.tiles.find(std::string(size.name));
    if (tiles == capabilities.tiles.end()) continue;
    for (const int64_t tile : tiles->second)
      if (const std::string_view edge = edge_of(value, tile); !edge.empty())
        words.push_back(fmt::format("{}={}{}", size.name, tile, edge));
  }
  if (c.cached()) words.push_back(fmt::format("steps={}", std::bit_width(c.steps.size())));
  return words;
}

}  // namespace

std::vector<uint32_t> coverage_of(const Case& c, const Capabilities& capabilities) {
  std::vector<std::string> words = features(c);
  std::string whole;
  for (const std::string& word : words)
    if (word.starts_with("rule:") || word.starts_with("layout:") || word.starts_with("dtype:"))
      whole += word + " ";
  for (std::string& word : size_words(c, capabilities)) {
    if (word.starts_with("q_len") || word.starts_with("kv_len")) whole += word + " ";
    words.push_back(std::move(word));
  }
  std::vector<uint32_t> points{point(whole)};
  for (size_t a = 0; a < words.size(); ++a) {
    points.push_back(point(words[a]));
    for (size_t b = a + 1; b < words.size(); ++b)
      points.push_back(point(words[a] + "&" + words[b]));
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

uint32_t error_point(const Case& c, const Verdict& verdict) {
  constexpr uint32_t steps = error_points / 8, per_bound = 8;  // 8: more dtypes than there are
  static_assert(names_of<DType>.size() <= 8);
  const double ratio = std::isnan(verdict.worst_ratio) ? INFINITY : verdict.worst_ratio;
  const double step = ratio <= 1 ? per_bound * ratio : per_bound * (1 + std::log2(ratio));
  return static_cast<uint32_t>(c.problem.dtype) * steps +
         static_cast<uint32_t>(std::min<double>(step, steps - 1));
}

}  // namespace attnfuzz
