#pragma once
#include <array>
#include <string_view>
#include <vector>

#include "oracle/inputs.h"

namespace attnfuzz {

/// Where the elements of q, k or v lie, in elements.
struct StridedShape {
  Shape sizes;                     ///< [batch, heads, len, dim], whatever the layout
  std::array<int64_t, 4> strides;  ///< likewise
  int64_t base = 0;                ///< of the first element
  int64_t size = 0;                ///< of the memory

  int64_t at(int64_t b, int64_t h, int64_t s, int64_t d) const {
    return base + b * strides[0] + h * strides[1] + s * strides[2] + d * strides[3];
  }
};

/// Whether the input is one that Problem::strides is about.
bool has_strides(std::string_view input);
/// By Problem::strides. `input`: "q", "k" or "v".
StridedShape strided_shape(const Problem& problem, std::string_view input);
/// The memory of that input; −3 wherever none of its elements, nor of a tensor beside it, lies.
std::vector<std::byte> lay_out(const Problem& problem, std::string_view input,
                               const Inputs& inputs);

/// The inputs as a target finds them that takes q, k and v to lie as `as` says; what lies outside
/// the memory is NaN.
using TakenShape = StridedShape (*)(const Problem& problem, std::string_view input);
Inputs read_as(const Problem& problem, const Inputs& inputs, TakenShape as);

}  // namespace attnfuzz
