#pragma once
#include <span>

#include "targets/target.h"

namespace attnfuzz {

/// The documented bugs, each twice: "specimen:NAME" as it was and "fixed:NAME" as it was mended.
std::span<const BuiltinTarget> specimen_targets();

}  // namespace attnfuzz
