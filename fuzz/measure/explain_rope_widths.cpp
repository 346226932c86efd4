#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/scores.h"
#include "oracle/rope.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {
namespace {

/// A number of elements that code may take where rope turns a part of the head.
struct Width {
  const char* words;
  int64_t (*of)(const Problem&);
};
constexpr Width widths[] = {
    {"rope_dim", [](const Problem& p) { return p.turned_dim(); }},
    {"head_dim", [](const Problem& p) { return p.head_dim; }},
};

/// Of how many elements rope turns pairs, how far a pair's two lie apart (times 2), and by what its
/// frequency's exponent is divided.
struct Widths {
  const Width *turned, *pairs, *frequency;
};

/// A vector turned to a position in that way; false where a pair would lie outside of it.
bool turn(const Problem& p, const Widths& by, int64_t position, std::vector<double>& x) {
  const auto begin = p.turned_begin();
  const int64_t count = by.turned->of(p) / 2, apart = by.pairs->of(p) / 2;
  for (int64_t n = 0; n < count; ++n) {
    const bool half = p.rope == Rope::half;
    const auto a = static_cast<size_t>(begin + (half ? n : 2 * n));
    const auto b = static_cast<size_t>(begin + (half ? n + apart : 2 * n + 1));
    if (b >= x.size()) return false;
    const double angle = static_cast<double>(position) *
                         std::pow(p.rope_base, -2.0 * static_cast<double>(n) /
                                                   static_cast<double>(by.frequency->of(p)));
    const double u = x[a], w = x[b];
    x[a] = u * std::cos(angle) - w * std::sin(angle);
    x[b] = u * std::sin(angle) + w * std::cos(angle);
  }
  return true;
}

bool fits(const Row& row, const Widths& by) {
  const Problem& p = row.problem();
  const auto copy = [](std::span<const double> of) {
    return std::vector<double>(of.begin(), of.end());
  };
  std::vector<double> q = copy(row.of->vectors->q(row.query));
  if (!turn(p, by, row.at().position, q)) return false;
  std::vector<double> scores;
  for (const size_t j : row.keys) {
    const Key& key = row.at().keys[j];
    std::vector<double> k = copy(row.of->vectors->k(key.source));
    if (key.position >= 0 && !turn(p, by, key.position, k)) return false;
    double sum = 0;
    for (size_t d = 0; d < q.size(); ++d) sum += q[d] * k[d];
    scores.push_back(p.scale_value() * sum);
  }
  return row.fits(scores);
}

}  // namespace

/// Where rope turns a part of the head: the whole head's size stands where the part's belongs.
std::optional<std::string> explain_rope_widths(const std::vector<Row>& wrong,
                                               const std::vector<Row>&) {
  if (std::any_of(wrong.begin(), wrong.end(), [](const Row& row) {
        const Problem& p = row.problem();
        return p.rope == Rope::none || !has_plain_rope(p) || p.turned_dim() == p.head_dim;
      }))
    return {};
  for (const Width& turned : widths)
    for (const Width& pairs : widths)
      for (const Width& frequency : widths) {
        const Widths by{&turned, &pairs, &frequency};
        if (std::all_of(wrong.begin(), wrong.end(), [&](const Row& row) { return fits(row, by); }))
          return fmt::format(
              "Rope turns {} / 2 pairs of elements, {}, pair n by position · base^(−2n / {}); of "
              "all three rope_dim is right.",
              turned.words,
              wrong.front().problem().rope == Rope::half
                  ? fmt::format("n with n + {} / 2", pairs.words)
                  : "2n with 2n + 1",
              frequency.words);
      }
  return {};
}

}  // namespace attnfuzz::measure
