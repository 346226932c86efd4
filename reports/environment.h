#pragma once
#include <string>

namespace attnfuzz {

/// "Linux 6.1.0 x86_64, AMD EPYC 7B13, 2 cores, GCC 12.2.0": what a maintainer asks first. What the
/// system does not tell is left out.
std::string environment_text();
/// The same, and what the worker of this open target has told of its own.
std::string environment_text(const std::string& target);

}  // namespace attnfuzz
