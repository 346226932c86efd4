#pragma once
#include "oracle/answer.h"

namespace attnfuzz {

/// evaluate() of a case whose attention carries a state; without bounds where `precision` is null.
Answer recurrent_answer(const Case& c, const Plan& plan, const Inputs& inputs,
                        const Precision* precision);

}  // namespace attnfuzz
