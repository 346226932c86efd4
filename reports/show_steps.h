#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "oracle/case.h"

namespace attnfuzz {

/// "0–3, 7", of numbers that ascend.
std::string runs_text(std::span<const int64_t> numbers);

/// "prefill of 5 tokens, of which real [5, 3], padded on the left".
std::string step_text(const Step& step);

/// The cache in words, then a line for each step and, where rows or places change, one for each row
/// with the positions of the tokens that it holds: "row 0: 0–3 | 6, 7" ('|' between pages).
std::string timeline(const Case& c);

}  // namespace attnfuzz
