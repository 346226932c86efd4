#pragma once
#include <string>

#include "oracle/answer.h"
#include "oracle/inputs.h"

/// The part of a script that is about gradients: nothing where the case asks for none.
namespace attnfuzz::python {

/// Whether such a script can hold the case's outputs: gradients in q, k, v and the bias, without
/// sinks, memory keys and dropout.
bool has_gradient_script(const Case& c);

/// grad_out, and for each gradient its bounds as an array.
std::string gradient_arrays(const Case& c, const Inputs& inputs, const Precision& precision);

/// The end of reference(): from P in `p`, scaled scores in `x` and `Q`, `K`, `V` with a KV head
/// for each query head; returns a dict of (value, bound) by name.
std::string gradient_reference(const Case& c);

/// What compares the dicts that target() and reference() give.
std::string gradient_comparison();

}  // namespace attnfuzz::python
