#pragma once
#include <span>
#include <string>
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz::measure {

/// What tells a finding's bug from others of the same target, as far as trials and measurements say
/// it, whatever options and sizes show it.
struct Bug {
  std::string signature;             ///< of the finding that it belongs to
  std::vector<std::string> faults;   ///< that explain all that fails
  std::string rule;                  ///< that was measured; empty: no rule was found
  std::string when;                  ///< exactly when it happens; empty: no condition was found
  std::string error;                 ///< of an error: its text without numbers
  std::vector<std::string> options;  ///< of an error: those that its condition names
  Case original;                     ///< as first found
  size_t statements = 0;             ///< that were measured
};
Bug bug_of(const Finding& finding);

/// Whether both are one bug as far as was shown: a fault explains all that fails of both, or, where
/// no fault explains either, the same rule was measured of both; or both happen under exactly the
/// same condition, and neither fault nor rule tells them apart; or both are errors whose texts
/// differ in numbers alone, and that the same options bring about.
bool is_same(const Bug& a, const Bug& b);

/// The first of these whose measured rule, or the finding's, is measured over both of their cases
/// as well; none: empty. Costs so many seconds at most.
std::string same_rule(Target& target, const Finding& finding, std::span<const Bug> known,
                      double seconds);

}  // namespace attnfuzz::measure
