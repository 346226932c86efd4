#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "reports/triage/words.h"

/// Layouts that a report gives in words: "query is (batch, heads, length, head_dim)", "layout
/// BSHD".
namespace attnfuzz::triage {

struct StatedLayout {
  RoleGuess role;               ///< whose; none: it is not said
  std::vector<AxisGuess> axes;  ///< none where a word is not understood or a number stands
};

/// All that a line states. Arguments of calls and shapes of numbers alone are none.
std::vector<StatedLayout> layouts_stated_in(std::string_view line);

/// How far they speak for a tensor of this role with these axes; what is said of no tensor in
/// particular speaks against none.
double by_stated(std::span<const StatedLayout> stated, Role role, std::span<const Axis> axes);

}  // namespace attnfuzz::triage
