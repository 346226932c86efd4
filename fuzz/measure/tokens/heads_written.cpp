#include "fuzz/measure/tokens/heads_written.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace attnfuzz::measure {
namespace {

/// A number that code may have at hand where it counts heads.
struct Size {
  const char* words;
  int64_t (*of)(const HeadsSeen&);
};
constexpr Size sizes[] = {
    {"num_kv_heads", [](const HeadsSeen& c) { return c.num_kv_heads; }},
    {"(num_heads / num_kv_heads)",
     [](const HeadsSeen& c) { return c.num_heads / std::max<int64_t>(1, c.num_kv_heads); }},
    {"2", [](const HeadsSeen&) { return int64_t{2}; }},
    {"4", [](const HeadsSeen&) { return int64_t{4}; }},
    {"8", [](const HeadsSeen&) { return int64_t{8}; }},
    {"16", [](const HeadsSeen&) { return int64_t{16}; }},
    {"32", [](const HeadsSeen&) { return int64_t{32}; }},
    {"1", [](const HeadsSeen&) { return int64_t{1}; }},
};

/// Which heads are written, by a number.
struct Law {
  const char* words;  ///< {} is the number's name
  bool (*writes)(int64_t h, int64_t n, int64_t heads);
};
constexpr Law laws[] = {
    {"those below {} alone", [](int64_t h, int64_t n, int64_t) { return h < n; }},
    {"those within the largest multiple of {} alone",
     [](int64_t h, int64_t n, int64_t heads) { return h < heads / n * n; }},
    {"the multiples of {} alone", [](int64_t h, int64_t n, int64_t) { return h % n == 0; }},
    {"those with h mod {} = {} − 1 alone",
     [](int64_t h, int64_t n, int64_t) { return h % n == n - 1; }},
    {"those from {} on alone", [](int64_t h, int64_t n, int64_t) { return h >= n; }},
};

/// Whether a head is one of (x mod a)·b + x / a, as a grid of blocks may be unrolled.
bool in_grid(int64_t h, int64_t a, int64_t b, int64_t heads) {
  for (int64_t x = 0; x < heads; ++x)
    if (x % a * b + x / a == h) return true;
  return false;
}

bool holds(std::span<const HeadsSeen> cases, const auto& writes) {
  return std::all_of(cases.begin(), cases.end(), [&](const HeadsSeen& each) {
    const auto is_written = [&](int64_t h) { return writes(each, h); };
    return std::none_of(each.none.begin(), each.none.end(), is_written) &&
           std::all_of(each.some.begin(), each.some.end(), is_written);
  });
}

/// Sizes of the cases in which heads are missing.
size_t telling(std::span<const HeadsSeen> cases) {
  std::set<std::pair<int64_t, int64_t>> all;
  for (const HeadsSeen& each : cases)
    if (!each.none.empty()) all.emplace(each.num_heads, each.num_kv_heads);
  return all.size();
}

}  // namespace

std::string heads_written(std::span<const HeadsSeen> cases) {
  constexpr size_t enough = 2;
  if (telling(cases) < enough) return "";
  for (const Law& law : laws)
    for (const Size& size : sizes)
      if (holds(cases, [&](const HeadsSeen& c, int64_t h) {
            return law.writes(h, size.of(c), c.num_heads);
          }))
        return fmt::format(fmt::runtime(law.words), size.words, size.words);
  const std::span<const Size> two = std::span(sizes).first(2);
  for (const Size& a : two)
    for (const Size& b : two)
      if (holds(cases, [&](const HeadsSeen& c, int64_t h) {
            return in_grid(h, a.of(c), b.of(c), c.num_heads);
          }))
        return fmt::format("heads (x mod {0})·{1} + x / {0} for x from 0 to num_heads − 1 alone",
                           a.words, b.words);
  return "";
}

}  // namespace attnfuzz::measure
