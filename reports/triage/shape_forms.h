#pragma once
#include <optional>
#include <string_view>

#include "reports/triage/grammar.h"

/// How shapes are written.
namespace attnfuzz::triage {

/// The shape that begins at this character: "[2, 8, 4, 32]", "2x8x4x32", "4 20 64", …; nothing if
/// none does.
std::optional<Mention> shape_at(std::string_view text, size_t from);

}  // namespace attnfuzz::triage
