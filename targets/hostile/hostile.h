#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "targets/target.h"

namespace attnfuzz {

/// A target that does harm: what isolation is proved on. It answers rightly but where a case has a
/// softcap. Open it in a worker process only (open_isolated).
struct HostileTarget {
  std::string_view name;  ///< "hostile:segfault"
  std::string_view about;
  std::string_view failure;  ///< the kind of the one finding that it must become
};

std::span<const HostileTarget> hostile_targets();

/// Whether a name is in the family: such a target never runs in attnfuzz's own process.
bool is_hostile_name(std::string_view name);

/// Throws InputError for a name that is not in the table.
std::unique_ptr<Target> open_hostile(const std::string& name);

}  // namespace attnfuzz
