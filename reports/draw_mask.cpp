#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>

#include "oracle/lower/plan.h"
#include "oracle/lower/visible.h"
#include "reports/show.h"

namespace attnfuzz {
namespace {

constexpr int64_t kMostRows = 48;

/// The mask of one head over keys by their positions. A row is worked out when it is drawn, for the
/// keys that are.
struct Grid {
  int64_t first_query, queries, keys;
  std::function<int64_t(int64_t j)> position;
  /// What query i sees of the keys at these positions.
  std::function<std::vector<uint8_t>(int64_t i, std::span<const int64_t> positions)> row;
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
  const int64_t label = std::max<int64_t>(
      5, static_cast<int64_t>(std::to_string(grid.first_query + grid.queries).size()) + 1);
  const auto rows = shown(grid.queries, kMostRows);
  const auto columns = shown(grid.keys, std::max<int64_t>(8, width - label - 1));
  std::vector<int64_t> positions;
  for (const int64_t j : columns)
    if (j >= 0) positions.push_back(grid.position(j));
  std::string out = fmt::format("{:>{}} ", "key", label);
  for (size_t k = 0; k < columns.size();) {  // a position over every fifth column
    const int64_t key = columns[k] < 0 ? -1 : grid.position(columns[k]);
    const std::string mark = key >= 0 && key % 5 == 0 ? std::to_string(key) : " ";
    out += mark;
    k += mark.size();
  }
  out += '\n';
  for (const int64_t i : rows) {
    out += i < 0 ? fmt::format("{:>{}} ", "...", label)
                 : fmt::format("{:>{}} ", "q" + std::to_string(grid.first_query + i), label);
    const std::vector<uint8_t> visible = i < 0 ? std::vector<uint8_t>() : grid.row(i, positions);
    size_t at = 0;
    for (const int64_t j : columns) out += i < 0 || j < 0 ? gap : visible[at++] ? seen : hidden;
    out += '\n';
  }
  const auto drawn = [](const std::vector<int64_t>& indices) {
    return std::count_if(indices.begin(), indices.end(), [](int64_t k) { return k >= 0; });
  };
  if (grid.queries > kMostRows || static_cast<size_t>(grid.keys) > columns.size())
    out += fmt::format("(drawn: {} of {} queries, {} of {} keys)\n", drawn(rows), grid.queries,
                       drawn(columns), grid.keys);
  return out;
}

/// What query head h sees in row b of a step; its queries are one run.
Grid mask_of(const Case& c, const Plan& plan, size_t step, int64_t b, int64_t h) {
  const RowPlan& row = plan.steps[step].rows[static_cast<size_t>(b)];
  const QueryRun first = row.queries.empty() ? QueryRun{0, 0, 0, 0} : row.queries.front();
  std::vector<int64_t> key_pos;
  for (const KeyEntry& entry : row.entries()) key_pos.push_back(entry.position);
  const bool biased = c.problem.mask.adds_bias();
  const auto seen = [&c, step, b, h, first, biased](int64_t i, std::span<const int64_t> positions) {
    std::vector<uint8_t> visible(positions.size());
    std::vector<double> bias(biased ? positions.size() : 0);
    show_keys(c, {step, b, h, i, first.position + i}, positions, {visible, bias});
    return visible;
  };
  return {c.cached() ? first.position : 0, row.num_queries(), row.num_keys(),
          [key_pos](int64_t j) { return key_pos[static_cast<size_t>(j)]; }, seen};
}

}  // namespace

std::string draw_mask(const Case& c, int64_t b, int64_t h, bool unicode, int64_t width) {
  if ((c.problem.batch == 0 && b == 0) || (c.problem.num_heads == 0 && h == 0)) return "";
  if (b < 0 || b >= c.problem.batch)
    throw InputError("mask", "", fmt::format("expected a batch row below {}", c.problem.batch));
  if (h < 0 || h >= c.problem.num_heads)
    throw InputError("mask", "", fmt::format("expected a head below {}", c.problem.num_heads));
  const Plan plan = lower(c);
  std::string out;
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    if (c.cached() && !c.steps[s].has_tokens()) continue;
    if (c.cached()) out += fmt::format("step {} ({})\n", s, name(c.steps[s].op));
    out += draw(mask_of(c, plan, s, b, h), unicode, width);
  }
  return out;
}

}  // namespace attnfuzz
