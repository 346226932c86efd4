#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "reports/repro/python.h"

/// What the scripts for calls with and without a cache share.
namespace attnfuzz::python {

/// Whether NumPy can hold the type (bf16 as float32).
bool has_dtype(DType dtype);

/// The oracle's bound as |error| ≤ factor · Σ p|v| + floor, so that a script can work it out: the
/// smallest such numbers that are nowhere tighter than the oracle's own.
struct SimpleBound {
  double factor = 0, floor = 0;

  std::string text(std::string_view values) const;  ///< as an expression of p and the values
};
SimpleBound simple_bound(const Case& c, const Inputs& inputs, const Precision& precision);

/// Each line four spaces further to the right.
std::string indented(std::string_view lines);

/// A call's arguments, with line breaks where a line grows long.
std::string filled(const std::string& before, const std::vector<std::string>& arguments,
                   std::string_view after);

struct Head {
  std::string standard;  ///< imports of Python's own modules, besides those that the text shows
  std::string imports;   ///< "import torch\n"
  std::string needs;     ///< "torch"
};
/// The whole file: what it is about, the imports, what makes its tensors, and the text.
Repro script(const Case& c, const TargetInfo& target, const Head& head, const std::string& text);

}  // namespace attnfuzz::python
