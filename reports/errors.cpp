#include "reports/errors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fuzz/elements.h"

namespace attnfuzz {
namespace {

bool all_ones(const Tensor& tensor, size_t n) {
  const auto size = static_cast<size_t>(info(tensor.dtype).bytes);
  const std::byte* first = tensor.bytes.data() + n * size;
  return std::all_of(first, first + size, [](std::byte b) { return b == std::byte{0xFF}; });
}

}  // namespace

std::vector<ElementError> element_errors(const Case& c, const Examination& examination) {
  return element_errors(c, examination, examination.verdict.worst.output);
}

std::vector<ElementError> element_errors(const Case& c, const Examination& examination,
                                         Output output) {
  std::vector<ElementError> errors;
  const std::vector<StepOutput>& outputs = examination.outcome.steps;
  if (outputs.empty()) return errors;
  const Answer expected = answer(c, make_inputs(c), examination.precision);
  for (size_t s = 0; s < std::min(outputs.size(), expected.steps.size()); ++s) {
    for (const WantedOutput& want : wanted_outputs(c, expected.steps[s])) {
      const Tensor* given = given_output(outputs[s], want.output);
      if (want.output != output || given == nullptr || given->shape != *want.shape ||
          given->dtype != want.dtype)
        continue;
      const std::vector<double> got = judged_values(c, want, *given);
      for (size_t n = 0; n < got.size(); ++n) {
        const double bound = (*want.bound)[n], right = (*want.values)[n];
        if (std::isinf(bound)) continue;
        const WorstElement at = element_place(c, want, s, n);
        errors.push_back({at.step, at.b, at.h, at.i, at.d, got[n], right,
                          error_ratio(got[n], right, bound),
                          all_ones(*given, element_offset(c, want, n))});
      }
    }
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
