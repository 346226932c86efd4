#pragma once
#include <span>
#include <string_view>

#include "reports/causes/causes.h"
#include "reports/triage/code.h"

namespace attnfuzz::triage {

/// What two sizes that should have agreed say of the mistake, where the tensors or the operation
/// say more than the two axes (axis_pairs() of reports/causes/ says that). Rows hold for what was
/// read only: the form, the tensors and the axes that they name must all be those of the reading.
struct Mistake {
  std::string_view name;   ///< the cause's
  std::string_view forms;  ///< names of forms; empty: any
  std::string_view
      roles;      ///< names of tensors, one of which must be there, separated by "|"; empty: any
  AxisKind a, b;  ///< of the two sizes, in either order
  std::string_view
      words;  ///< {a} and {b}: the sizes with their axes, in the row's order; {ta}, {tb}: whose
};
std::span<const Mistake> mistakes();

}  // namespace attnfuzz::triage
