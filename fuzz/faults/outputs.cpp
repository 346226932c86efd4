#include "fuzz/faults/outputs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace attnfuzz::fault {

MoreAnswer* find_output(StepAnswer& step, Output output) {
  for (MoreAnswer& more : step.more)
    if (more.output == output) return &more;
  return nullptr;
}

Answer scaled(Answer answer, std::initializer_list<Output> outputs, double factor) {
  for (StepAnswer& step : answer.steps)
    for (const Output output : outputs) {
      MoreAnswer* more = find_output(step, output);
      if (more == nullptr) continue;
      for (double& value : more->values) value *= factor;
      for (double& bound : more->bound) bound *= std::abs(factor);
    }
  return answer;
}

Answer with_outputs(Answer to, Answer from, std::initializer_list<Output> outputs) {
  for (size_t s = 0; s < to.steps.size(); ++s)
    for (const Output output : outputs) {
      MoreAnswer* old = find_output(to.steps[s], output);
      MoreAnswer* other = find_output(from.steps[s], output);
      if (old != nullptr && other != nullptr) *old = std::move(*other);
    }
  return to;
}

Inputs changed_tensor(const Case& c, Inputs inputs, const std::string& name,
                      const Change64& change) {
  const Tensor* old = inputs.find(name);
  if (old == nullptr) return inputs;
  const bool heads_first = c.problem.layout == Layout::bhsd;
  const Shape& shape = old->shape;
  const int64_t dim = shape.size() > 3 ? shape[3] : 1;
  std::vector<double> values = old->to_doubles();
  for (size_t n = 0; n < values.size(); ++n) {
    const auto at = static_cast<int64_t>(n);
    const int64_t third = at / dim % shape[2], second = at / dim / shape[2] % shape[1];
    values[n] = change(values[n], {at / dim / shape[2] / shape[1], heads_first ? second : third,
                                   heads_first ? third : second, at % dim});
  }
  Tensor tensor(DType::f64, shape);
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  inputs.replace(name, std::move(tensor));
  return inputs;
}

}  // namespace attnfuzz::fault
