#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "oracle/cache_model.h"
#include "reports/show.h"

namespace attnfuzz {
namespace {

constexpr int64_t kMostRows = 48;

/// A mask's rows over keys by their positions.
struct Grid {
  int64_t first_query = 0;
  std::vector<int64_t> keys;
  std::vector<std::vector<uint8_t>> rows;
};

/// Indices to draw of n: all, or the first and the last ones with −1 for what is left out between.
std::vector<int64_t> shown(int64_t n, int64_t room) {
  std::vector<int64_t> indices(static_cast<size_t>(std::min(n, room)));
  std::iota(indices.begin(), indices.end(), 0);
  if (n <= room) return indices;
  const int64_t head = (room - 1) / 2;
  for (int64_t k = head; k < room; ++k)
    indices[static_cast<size_t>(k)] = k == head ? -1 : n - room + k;
  return indices;
}

std::string draw(const Grid& grid, bool unicode, int64_t width) {
  const std::string_view seen = unicode ? "█" : "#", hidden = unicode ? "·" : ".",
                         gap = unicode ? "…" : "~";
  const auto queries = static_cast<int64_t>(grid.rows.size());
  const int64_t label = std::max<int64_t>(
      5, static_cast<int64_t>(std::to_string(grid.first_query + queries).size()) + 1);
  const auto columns =
      shown(static_cast<int64_t>(grid.keys.size()), std::max<int64_t>(8, width - label - 1));
  std::string out = fmt::format("{:>{}} ", "key", label);
  for (size_t k = 0; k < columns.size();) {  // a position over every fifth column
    const int64_t key = columns[k] < 0 ? -1 : grid.keys[static_cast<size_t>(columns[k])];
    const std::string mark = key >= 0 && key % 5 == 0 ? std::to_string(key) : " ";
    out += mark;
    k += mark.size();
  }
  out += '\n';
  for (const int64_t i : shown(queries, kMostRows)) {
    out += i < 0 ? fmt::format("{:>{}} ", "...", label)
                 : fmt::format("{:>{}} ", "q" + std::to_string(grid.first_query + i), label);
    for (const int64_t j : columns) {
      const bool left_out = i < 0 || j < 0;
      out += left_out                                                    ? gap
             : grid.rows[static_cast<size_t>(i)][static_cast<size_t>(j)] ? seen
                                                                         : hidden;
    }
    out += '\n';
  }
  return out;
}

Grid whole_mask(const Case& c, int64_t b, int64_t h) {
  const DenseMask mask = dense_mask(c.problem, c.data);
  Grid grid{0, std::vector<int64_t>(static_cast<size_t>(mask.kv_len)), {}};
  std::iota(grid.keys.begin(), grid.keys.end(), 0);
  for (int64_t i = 0; i < mask.q_len; ++i) {
    const auto begin = mask.visible.begin() + ((b * mask.heads + h) * mask.q_len + i) * mask.kv_len;
    grid.rows.emplace_back(begin, begin + mask.kv_len);
  }
  return grid;
}

/// What the step just done asks of row b.
Grid step_mask(const Case& c, int64_t b, int64_t h, int step, const CacheModel& cache) {
  const int64_t past = cache.past_length(b), g = c.problem.kv_head(h);
  const std::span<const int64_t> key_pos = cache.positions(b);
  Grid grid{past, {key_pos.begin(), key_pos.end()}, {}};
  for (int64_t i = 0; i < cache.new_tokens(b); ++i) {
    std::vector<uint8_t> visible(key_pos.size(), 1);
    mask_row({c.problem, c.data, b, h, i, past + i, key_pos, 0, step}, {visible, {}});
    for (size_t j = 0; j < visible.size(); ++j)
      visible[j] &= static_cast<uint8_t>(cache.sees(past + i, key_pos[j], g));
    grid.rows.push_back(std::move(visible));
  }
  return grid;
}

std::string step_masks(const Case& c, int64_t b, int64_t h, bool unicode, int64_t width) {
  CacheModel cache(c);
  std::string out;
  for (size_t s = 0; s < c.steps.size(); ++s) {
    cache.apply(s);
    if (!c.steps[s].has_tokens()) continue;
    out += fmt::format("step {} ({})\n", s, name(c.steps[s].op));
    out += draw(step_mask(c, b, h, static_cast<int>(s), cache), unicode, width);
  }
  return out;
}

}  // namespace

std::string draw_mask(const Case& c, int64_t b, int64_t h, bool unicode, int64_t width) {
  if (b < 0 || b >= c.problem.batch)
    throw InputError("mask", "", fmt::format("expected a batch row below {}", c.problem.batch));
  if (h < 0 || h >= c.problem.num_heads)
    throw InputError("mask", "", fmt::format("expected a head below {}", c.problem.num_heads));
  return c.cached() ? step_masks(c, b, h, unicode, width)
                    : draw(whole_mask(c, b, h), unicode, width);
}

}  // namespace attnfuzz
