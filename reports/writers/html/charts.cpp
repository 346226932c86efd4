#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "oracle/lower/cache_history.h"
#include "reports/writers/html/figures.h"

namespace attnfuzz::figures {
namespace {

constexpr int kBarHeight = 14, kLabel = 96, kBars = 220, kAfter = 60;

/// |error| / bound up to each of these; beyond the last, and not finite.
constexpr std::array<double, 8> kEnds = {0, 0.01, 0.1, 1, 10, 100, 1e4, 1e6};

std::string bin_name(size_t bin) {
  if (bin == 0) return "0";
  if (bin < kEnds.size()) return fmt::format("≤ {:g}", kEnds[bin]);
  return bin == kEnds.size() ? fmt::format("over {:g}", kEnds.back()) : "not finite";
}

size_t bin_of(double ratio) {
  if (!std::isfinite(ratio)) return kEnds.size() + 1;
  const auto end = std::lower_bound(kEnds.begin(), kEnds.end(), ratio);
  return static_cast<size_t>(end - kEnds.begin());
}

std::string bar(int y, double share, std::string_view style, std::string_view label,
                const std::string& after) {
  const int width = static_cast<int>(std::lround(share * kBars));
  return fmt::format(
      "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect class=\"{}\" x=\"{}\" y=\"{}\" "
      "width=\"{}\" height=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
      kLabel - 6, y + 11, label, style, kLabel, y, width, kBarHeight - 3, kLabel + width + 5,
      y + 11, after);
}

std::string frame(int height, const std::string& label, const std::string& inside) {
  constexpr int width = kLabel + kBars + kAfter;
  return fmt::format(
      "<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\">{}"
      "</svg>\n",
      label, width, height, width, height, inside);
}

}  // namespace

std::string histogram(const std::vector<ElementError>& elements) {
  if (elements.empty()) return "";
  std::array<int64_t, kEnds.size() + 2> counts{};
  for (const ElementError& e : elements) ++counts[bin_of(e.ratio)];
  const double most = static_cast<double>(*std::max_element(counts.begin(), counts.end()));
  std::string inside;
  int y = 0;
  for (size_t bin = 0; bin < counts.size(); ++bin) {
    const bool wrong = bin > 3;
    inside += bar(y, static_cast<double>(counts[bin]) / most, wrong ? "e4" : "bar", bin_name(bin),
                  std::to_string(counts[bin]));
    y += kBarHeight;
    if (bin == 3)  // all below are inside their bound
      inside += fmt::format("<line class=\"limit\" x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>",
                            kLabel + kBars, y - 1, y - 1);
  }
  return frame(y, "Elements by error in multiples of the bound", inside);
}

std::string timeline(const Case& c, const Outcome& outcome) {
  if (!c.cached() || c.problem.batch == 0) return "";
  CacheHistory model(c);
  std::vector<std::vector<int64_t>> wanted;
  int64_t most = 1;
  for (size_t s = 0; s < c.steps.size(); ++s) {
    model.apply(s);
    wanted.push_back(model.lengths());
    for (const int64_t length : wanted.back()) most = std::max(most, length);
  }
  std::string inside;
  int y = 0;
  for (size_t s = 0; s < wanted.size(); ++s) {
    const std::vector<int64_t>* got = s < outcome.steps.size() && !outcome.steps[s].lengths.empty()
                                          ? &outcome.steps[s].lengths
                                          : nullptr;
    for (size_t b = 0; b < wanted[s].size(); ++b) {
      const bool wrong = got != nullptr && b < got->size() && (*got)[b] != wanted[s][b];
      const std::string label =
          b == 0 ? fmt::format("{} {}", s, name(c.steps[s].op)) : fmt::format("row {}", b);
      inside += bar(y, static_cast<double>(wanted[s][b]) / static_cast<double>(most),
                    wrong ? "e4" : "row", label,
                    wrong ? fmt::format("{}, not {}", (*got)[b], wanted[s][b])
                          : std::to_string(wanted[s][b]));
      y += kBarHeight;
    }
    y += 4;
  }
  return frame(y, "Tokens of each row after each step", inside);
}

}  // namespace attnfuzz::figures
