#pragma once
#include <span>

#include "targets/target.h"

namespace attnfuzz {

/// Every specimen as "specimen:NAME" and "fixed:NAME". A new one: its file, and its lines in
/// specimens.cpp.
std::span<const BuiltinTarget> specimen_targets();

}  // namespace attnfuzz
