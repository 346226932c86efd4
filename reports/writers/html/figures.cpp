#include "reports/writers/html/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "fuzz/elements.h"

namespace attnfuzz::figures {
namespace {

constexpr int64_t kMost = 64;                      ///< cells drawn along an axis
constexpr int64_t kMostMasked = int64_t{1} << 24;  ///< elements of a mask that is worked out
constexpr int kCell = 12;                          ///< in the units of the drawing

std::string cell(int64_t column, int64_t row, std::string_view style, const std::string& title) {
  return fmt::format(
      "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{}\"><title>{}</title></rect>",
      column * kCell, row * kCell, kCell - 1, kCell - 1, style, title);
}

std::string frame(int64_t columns, int64_t rows, const std::string& label,
                  const std::string& cells) {
  constexpr int64_t few = 16;
  const int64_t scale = columns <= few ? 2 : 1;  // small drawings are shown larger
  return fmt::format(
      "<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\">{}"
      "</svg>\n",
      label, columns * kCell * scale, rows * kCell * scale, columns * kCell, rows * kCell, cells);
}

/// A class of cells and what is said of them.
struct Kind {
  std::string_view style, words;
};
constexpr Kind kSeen{"seen", "seen"}, kHidden{"hidden", "hidden"},
    kExtra{"extra", "hidden, but the target sees it"},
    kMissing{"missing", "visible, but the target does not see it"};

const Kind& kind(bool seen, bool by_target) {
  if (seen) return by_target ? kSeen : kMissing;
  return by_target ? kExtra : kHidden;
}

/// Upper ends of the classes e0 … e3, in multiples of the bound.
constexpr double kLevels[] = {0.1, 1, 100, 1e6};

std::string level(double ratio) {
  const auto at = std::find_if(std::begin(kLevels), std::end(kLevels),
                               [&](double end) { return ratio <= end; });
  return fmt::format("e{}", at - std::begin(kLevels));
}

}  // namespace

std::string mask(const Case& c, int64_t b, int64_t h, const Case* target) {
  const Problem& p = c.problem;
  const bool is_there = b >= 0 && b < p.batch && h >= 0 && h < p.num_heads;
  if (c.cached() || p.mask.rules.empty() || !is_there) return "";
  const int64_t rows = std::min(p.q_len, kMost), columns = std::min(p.kv_len, kMost);
  if (rows == 0 || columns == 0) return "";
  if (p.batch * p.num_heads * p.q_len * p.kv_len > kMostMasked) return "";
  const DenseMask wanted = dense_mask(p, c.data);
  const DenseMask done = target != nullptr ? dense_mask(target->problem, target->data) : wanted;
  if (done.visible.size() != wanted.visible.size()) return "";  // a meaning with other sizes
  std::string cells;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      const auto at = static_cast<size_t>(((b * p.num_heads + h) * p.q_len + i) * p.kv_len + j);
      const Kind& of = kind(wanted.visible[at] != 0, done.visible[at] != 0);
      cells += cell(j, i, of.style, fmt::format("query {}, key {}: {}", i, j, of.words));
    }
  return frame(columns, rows, fmt::format("Mask of batch row {}, head {}", b, h), cells);
}

std::string axes_words(Output output) {
  const std::string_view tokens = coordinate_name(output, &WorstElement::i);
  return fmt::format("by {} (rows){}", coordinate_name(output, &WorstElement::h),
                     tokens.empty() ? "" : fmt::format(" and {} (columns)", tokens));
}

std::string errors(const Case& c, Output which, const std::vector<ElementError>& elements,
                   int64_t tile) {
  std::map<std::array<int64_t, 3>, std::map<int64_t, double>>
      lines;  // (step, b, h) → query → ratio
  for (const ElementError& e : elements) {
    double& ratio = lines[{e.step, e.b, e.h}][e.i];
    ratio = std::max(ratio, e.ratio);
  }
  // Of a long case some tokens are judged: those take the columns, one beside the other.
  std::map<int64_t, int64_t> column_of;
  for (const ElementError& e : elements) column_of.emplace(e.i, 0);
  int64_t next = 0;
  for (auto& [token, column] : column_of) column = next++;
  const bool all = column_of.empty() || column_of.rbegin()->first + 1 == std::ssize(column_of);
  const auto named = [&](int64_t WorstElement::*coordinate, int64_t value) {
    const std::string_view counts = coordinate_name(which, coordinate);
    return counts.empty() ? std::string() : fmt::format("{} {}, ", counts, value);
  };
  std::string cells;
  int64_t row = 0, columns = 0;
  for (const auto& [key, queries] : lines) {
    if (row == kMost) break;
    for (const auto& [i, ratio] : queries) {
      const int64_t column = column_of.at(i);
      if (column >= kMost) break;
      columns = std::max(columns, column + 1);
      cells += cell(column, row, level(ratio),
                    fmt::format("{}{}{}{}{:.3g} × the bound",
                                c.cached() ? fmt::format("step {}, ", key[0]) : "",
                                named(&WorstElement::b, key[1]), named(&WorstElement::h, key[2]),
                                named(&WorstElement::i, i), ratio));
    }
    ++row;
  }
  for (int64_t at = tile; all && tile > 0 && at < columns; at += tile)
    cells += fmt::format("<line class=\"tile\" x1=\"{0}\" x2=\"{0}\" y1=\"0\" y2=\"{1}\"/>",
                         static_cast<double>(at * kCell) - 0.5, row * kCell);
  const std::string of = which == Output::out ? "" : fmt::format(" of {}", name(which));
  return row == 0 ? ""
                  : frame(columns, row, fmt::format("Error{} {}", of, axes_words(which)), cells);
}

}  // namespace attnfuzz::figures
