#include <fmt/format.h>

#include <algorithm>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {

/// Weights that are off by no more than a narrower type's rounding, and by no less than is typical
/// of it.
std::optional<std::string> explain_precision(const std::vector<Row>& wrong,
                                             const std::vector<Row>&) {
  double largest = 0;
  for (const Row& row : wrong)
    largest = std::max(largest, row.spread(scores_as(row, row.problem())));
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::e4m3}) {
    const double u = unit_roundoff(type);
    if (largest > 6 * u || largest < u / 2) continue;
    return fmt::format(
        "The right tokens are taken, and their weights are off by up to {:.2g}: as much as "
        "rounding "
        "scores or weights to {} gives.",
        largest, name(type));
  }
  return {};
}

}  // namespace attnfuzz::measure
