#include "reports/errors.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attnfuzz {
namespace {

double ratio(double got, double want, double bound) {
  if (std::isnan(got) && std::isnan(want)) return 0;
  if (got == want) return 0;
  const double error = std::abs(got - want);
  if (std::isnan(error) || std::isinf(error)) return std::numeric_limits<double>::infinity();
  return bound > 0 ? error / bound : std::numeric_limits<double>::infinity();
}

/// Visits a [batch, heads, len, dim] tensor in the order of the layout.
template <class Visit>
void for_each_element(const Shape& shape, Layout layout, Visit visit) {
  const size_t heads = layout == Layout::bhsd ? 1 : 2, len = layout == Layout::bhsd ? 2 : 1;
  int64_t at[4];
  size_t n = 0;
  for (at[0] = 0; at[0] < shape[0]; ++at[0])
    for (at[1] = 0; at[1] < shape[1]; ++at[1])
      for (at[2] = 0; at[2] < shape[2]; ++at[2])
        for (at[3] = 0; at[3] < shape[3]; ++at[3]) visit(n++, at[0], at[heads], at[len], at[3]);
}

}  // namespace

std::vector<ElementError> element_errors(const Case& c, const Examination& examination) {
  std::vector<ElementError> errors;
  const std::vector<StepOutput>& outputs = examination.outcome.steps;
  if (outputs.empty()) return errors;
  const Answer expected = answer(c, make_inputs(c), examination.precision);
  for (size_t s = 0; s < std::min(outputs.size(), expected.steps.size()); ++s) {
    const StepAnswer& want = expected.steps[s];
    if (outputs[s].out.shape != want.shape || want.shape.size() != 4) continue;
    const std::vector<double> got = outputs[s].out.to_doubles();
    for_each_element(want.shape, c.problem.layout,
                     [&](size_t n, int64_t b, int64_t h, int64_t i, int64_t d) {
                       if (std::isinf(want.bound[n])) return;
                       errors.push_back({static_cast<int64_t>(s), b, h, i, d, got[n], want.out[n],
                                         ratio(got[n], want.out[n], want.bound[n])});
                     });
  }
  return errors;
}

std::vector<int64_t> visible_keys(const DenseMask& mask, int64_t b, int64_t h, int64_t i) {
  std::vector<int64_t> keys;
  const int64_t row = ((b * mask.heads + h) * mask.q_len + i) * mask.kv_len;
  for (int64_t j = 0; j < mask.kv_len; ++j)
    if (mask.visible[static_cast<size_t>(row + j)]) keys.push_back(j);
  return keys;
}

}  // namespace attnfuzz
