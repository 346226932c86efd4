#pragma once
#include <string>

#include "oracle/answer.h"

/// The end of a script for a small case: the exact answer and the bound of each element written
/// out, and the comparison.
namespace attnfuzz::python {

/// Whether the answer is small enough to be written out.
bool is_short(const Answer& answer);

/// For `def target():` that returns out, [batch, heads, len, dim].
std::string check_once(const Case& c, const Answer& answer);
/// For one that gives (out or None, the rows' lengths) for each step.
std::string check_steps(const Case& c, const Answer& answer);

}  // namespace attnfuzz::python
