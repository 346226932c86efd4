#pragma once
#include <string>
#include <string_view>

#include "oracle/answer.h"

/// For a script of a small case: the exact answer and the bound of each element written out, and
/// the comparison with them.
namespace attnfuzz::python {

/// Whether the answer is small enough to be written out.
bool is_short(const Answer& answer);

/// A step's answer and its bound in [batch, heads, len, dim]: two NumPy expressions.
std::string expected(const StepAnswer& step, const Case& c);

/// Lines that end the script if the arrays out, want and allowed say that out is wrong. `where` is
/// put in front of what is said, as a part of an f-string.
std::string comparison(const Answer& answer, std::string_view indent, std::string_view where);

}  // namespace attnfuzz::python
