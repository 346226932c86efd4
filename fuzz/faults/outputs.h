#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>

#include "oracle/answer.h"

namespace attnfuzz::fault {

// Answers put together from several evaluations
// -----------------------------------------------------

/// An output beside `out` of one step; nullptr: it has none.
MoreAnswer* find_output(StepAnswer& step, Output output);

/// The answer with some outputs multiplied by `factor`.
Answer scaled(Answer answer, std::initializer_list<Output> outputs, double factor);

/// `to` with some outputs taken from `from`. What `from` lacks is left as it is.
Answer with_outputs(Answer to, Answer from, std::initializer_list<Output> outputs);

/// The inputs with the named tensor's numbers changed: change(value, at), where `at` holds the
/// number's indices in logical order, [batch, heads, len, dim] as far as the tensor has them. The
/// new tensor is in f64. Does nothing where there is no such tensor.
struct ElementAt {
  int64_t b = 0, h = 0, s = 0, d = 0;
};
using Change64 = std::function<double(double value, const ElementAt& at)>;
Inputs changed_tensor(const Case& c, Inputs inputs, const std::string& name,
                      const Change64& change);

}  // namespace attnfuzz::fault
