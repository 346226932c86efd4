#pragma once
#include <string>

#include "reports/report.h"

namespace attnfuzz {

/// How a package is called: the lines that differ from package to package.
struct PythonCall {
  std::string standard;  ///< imports of Python's own modules
  std::string imports;   ///< "import torch\n"
  std::string helpers;   ///< functions that the body uses
  /// The body of `def target():`, indented. Uses the arrays q, k, v [batch, heads, len, dim] and
  /// where the case has them mask (boolean, broadcasts to [batch, heads, q_len, kv_len]), bias,
  /// sinks, mem_k, mem_v; returns out [batch, heads, q_len, head_dim_v] as a NumPy array.
  std::string body;
  std::string needs;  ///< "torch"
  /// The body returns a dict instead where the case asks for gradients: {"out": …, "dq": …}.
  bool gives_gradients = false;
};

/// A script with the inputs, the call, a reference in float64 and the comparison. Empty for a case
/// that such a script cannot hold (a cache, 8-bit floats, dropout, a log-sum-exp).
Repro python_repro(const Case& c, const TargetInfo& target, const PythonCall& call);

/// How a package's cache is used. The texts reorder, crop and reset are statements with {rows},
/// {length} and {start} in them.
struct PythonCache {
  std::string imports;
  std::string setup;  ///< lines that make the cache, and what else lives as long as it
  /// What attend() is given: q, k, v and, where it uses them, lens (how many tokens of each row are
  /// real) and start (how many the cache holds before).
  std::string parameters;
  std::string attend;   ///< the body of `def attend(parameters):`, indented; returns out
  std::string lengths;  ///< an expression: how many tokens of each row the cache holds
  std::string reorder, crop, reset;
  std::string needs;
};

/// The same for a cached case. One with more than a short answer has the rules causal and window.
Repro python_steps_repro(const Case& c, const TargetInfo& target, const PythonCache& cache);

}  // namespace attnfuzz
