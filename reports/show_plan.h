#pragma once
#include <string>

#include "oracle/case.h"

namespace attnfuzz {

/// The case's Plan for people: for each step and batch row the keys that are read, from which
/// tensor and token, where they stand and by which position rope rotates them; then what each
/// query of each head sees of them, and what the cache says of itself after the step. Of more than
/// 48 queries in a row, the first and the last.
std::string plan_text(const Case& c);

}  // namespace attnfuzz
