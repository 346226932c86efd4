#pragma once
#include <span>
#include <string>

#include "oracle/case.h"

namespace attnfuzz::measure {

/// The scale that a target was seen to use for a problem.
struct SeenScale {
  const Problem* problem;
  double scale;
};

/// Of which sizes the scale is made in all of these: "1/sqrt((num_heads + 2·num_kv_heads)·head_dim
/// / num_heads)", whole numbers as integer division leaves them. Empty where there is no such law,
/// or too few different scales tell one.
std::string scale_law(std::span<const SeenScale> seen);

}  // namespace attnfuzz::measure
