#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

/// Whether neighbouring keys of a row are off by different amounts, as roundings are: a mistake in
/// the maths moves many of them alike.
bool is_scattered(const Row& row, double spread) {
  size_t apart = 0;
  for (size_t n = 1; n < row.keys.size(); ++n) {
    const double step = (row.log_w[n] - row.want[n]) - (row.log_w[n - 1] - row.want[n - 1]);
    apart += std::abs(step) > spread / 64 ? 1 : 0;
  }
  return 2 * apart >= row.keys.size() - 1;
}

/// The largest number, 1 at least, that enters the softmax for a row's keys.
double largest_of(const Row& row, const std::vector<double>& scores) {
  double largest = 1;
  for (size_t j = 0; j < scores.size(); ++j)
    largest = std::max(
        largest, std::abs(finished(row.problem(), scores[j], row.at().keys[row.keys[j]].bias)));
  return largest;
}

}  // namespace

/// Weights that are off by no more than a narrower type's rounding of them or of their scores, and
/// by no less than is typical of it; several rows of some keys must show that they are off like
/// roundings.
std::optional<std::string> explain_precision(const std::vector<Row>& wrong,
                                             const std::vector<Row>&) {
  constexpr size_t enough_rows = 3, enough_keys = 4;
  double largest = 0, of_size = 0;  // of it: against the scores, as their roundings are
  size_t telling = 0;
  for (const Row& row : wrong) {
    const std::vector<double> scores = scores_as(row, row.problem());
    const double spread = row.spread(scores);
    largest = std::max(largest, spread);
    of_size = std::max(of_size, spread / largest_of(row, scores));
    if (row.keys.size() < enough_keys) continue;
    if (!is_scattered(row, spread)) return {};
    ++telling;
  }
  if (telling < enough_rows) return {};
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::e4m3}) {
    const double u = unit_roundoff(type);
    if (of_size > 3 * u || largest < u / 4) continue;
    return fmt::format(
        "The right tokens are taken, and their weights are off by up to {:.2g}: as much as "
        "rounding "
        "scores or weights to {} gives.",
        largest, name(type));
  }
  return {};
}

}  // namespace attnfuzz::measure
