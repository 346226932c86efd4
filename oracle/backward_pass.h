#pragma once
#include "oracle/backward.h"
#include "oracle/backward_head.h"

namespace attnfuzz {

/// add_gradients() with other terms than BackwardTerms.
void add_gradients_by(const BackwardTerms& terms, const Case& c, const Inputs& inputs,
                      const Precision* precision, StepAnswer& step);

}  // namespace attnfuzz
