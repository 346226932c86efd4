#include "reports/writers/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reports/errors.h"

namespace attnfuzz {
namespace {

constexpr int64_t kMost = 64;  ///< cells drawn along an axis
constexpr int kCell = 12;

std::string cell(int64_t column, int64_t row, std::string_view style, const std::string& title) {
  return fmt::format(
      "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{}\"><title>{}</title></rect>",
      column * kCell, row * kCell, kCell - 1, kCell - 1, style, title);
}

std::string frame(int64_t columns, int64_t rows, const std::string& label,
                  const std::string& cells) {
  return fmt::format(
      "<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\">{}"
      "</svg>\n",
      label, columns * kCell, rows * kCell, columns * kCell, rows * kCell, cells);
}

/// Upper ends of the classes e0 … e3, in multiples of the bound.
constexpr double kLevels[] = {0.1, 1, 100, 1e6};

std::string level(double ratio) {
  const auto at = std::find_if(std::begin(kLevels), std::end(kLevels),
                               [&](double end) { return ratio <= end; });
  return fmt::format("e{}", at - std::begin(kLevels));
}

}  // namespace

std::string mask_svg(const Case& c, int64_t b, int64_t h) {
  const Problem& p = c.problem;
  if (c.cached() || p.mask.rules.empty() || b >= p.batch || h >= p.num_heads) return "";
  const int64_t rows = std::min(p.q_len, kMost), columns = std::min(p.kv_len, kMost);
  if (rows == 0 || columns == 0) return "";
  const DenseMask mask = dense_mask(p, c.data);
  std::string cells;
  for (int64_t i = 0; i < rows; ++i) {
    const std::vector<int64_t> keys = visible_keys(mask, b, h, i);
    for (int64_t j = 0; j < columns; ++j) {
      const bool seen = std::binary_search(keys.begin(), keys.end(), j);
      cells += cell(j, i, seen ? "seen" : "hidden",
                    fmt::format("query {}, key {}: {}", i, j, seen ? "seen" : "hidden"));
    }
  }
  return frame(columns, rows, fmt::format("Mask of batch row {}, head {}", b, h), cells);
}

std::string error_svg(const Case& c, const Examination& examination) {
  std::map<std::array<int64_t, 3>, std::map<int64_t, double>>
      lines;  // (step, b, h) → query → ratio
  for (const ElementError& e : element_errors(c, examination)) {
    double& ratio = lines[{e.step, e.b, e.h}][e.i];
    ratio = std::max(ratio, e.ratio);
  }
  std::string cells;
  int64_t row = 0, columns = 0;
  for (const auto& [key, queries] : lines) {
    if (row == kMost) break;
    for (const auto& [i, ratio] : queries) {
      if (i >= kMost) break;
      columns = std::max(columns, i + 1);
      cells += cell(i, row, level(ratio),
                    fmt::format("{}batch row {}, head {}, query {}: {:.3g} × the bound",
                                c.cached() ? fmt::format("step {}, ", key[0]) : "", key[1], key[2],
                                i, ratio));
    }
    ++row;
  }
  return row == 0 ? "" : frame(columns, row, "Error by head (rows) and query (columns)", cells);
}

}  // namespace attnfuzz
