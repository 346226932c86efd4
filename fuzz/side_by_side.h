#pragma once
#include <string>

#include "fuzz/judge.h"
#include "fuzz/shrink.h"
#include "targets/target.h"

namespace attnfuzz {

/// What two targets gave for one case.
enum class Agreement : uint8_t {
  same_bits,      ///< in every checked element, or they raised the same error
  within_bounds,  ///< no further apart than the sum of their error bounds
  differ,
  skipped,  ///< one of them declined the case
};
template <>
inline constexpr std::array<std::string_view, 4> names_of<Agreement>{"same_bits", "within_bounds",
                                                                     "differ", "skipped"};

struct SideBySide {
  Agreement agreement = Agreement::same_bits;
  Verdict first, second;   ///< each target's by the oracle, without looking for its meaning
  std::string detail;      ///< what differs most, with numbers; empty with the same bits
  double worst_ratio = 0;  ///< max |first − second| / (sum of the bounds)
};
/// Runs the case on both. Elements that the oracle does not check may have any values.
SideBySide run_both(Target& first, Target& second, const Case& c);

/// The same kind of difference: as far apart, and each target fails as it did there.
bool is_like(const SideBySide& one, const SideBySide& other);

/// The least case on which the two still differ as `found` does. Cases that one of them does not
/// claim are left out.
Shrunk shrink_difference(Target& first, Target& second, const Case& c, const SideBySide& found,
                         int64_t max_tries, const Stop& stop = {});

/// What both claim, for a campaign through both. A case of it may still be outside of one of them:
/// what they declare of sizes in relation to each other is taken as it is.
Capabilities common_capabilities(const Capabilities& first, const Capabilities& second);

}  // namespace attnfuzz
