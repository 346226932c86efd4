#pragma once
#include <string>

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

/// The whole file: head, imports, helpers, tensors, target(), and what follows.
Repro script(const Case& c, const TargetInfo& target, const PythonCall& call,
             const std::string& tensors, const std::string& rest);

}  // namespace attnfuzz::python
