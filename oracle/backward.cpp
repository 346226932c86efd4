#include "oracle/backward.h"

#include "oracle/backward_pass.h"

namespace attnfuzz {

void add_gradients(const Case& c, const Inputs& inputs, const Precision* precision,
                   StepAnswer& step) {
  add_gradients_by(c, inputs, precision, step, BackwardTerms());
}

}  // namespace attnfuzz
