#pragma once
#include <cstdint>
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz {

/// One compared element.
struct ElementError {
  int64_t step, b, h, i, d;
  double got, want;
  double ratio;    ///< |got − want| / bound; +inf where one is not finite and the other is
  bool unwritten;  ///< all its bits are 1, as a plug-in's outputs have them before the call
  bool wrong() const { return ratio > 1; }
};

/// One output of a target held against the oracle's answer, element by element. Coordinates are
/// those of element_place(): what they count differs from output to output (coordinate_name()).
/// Unchecked elements and steps with another shape or dtype are left out.
std::vector<ElementError> element_errors(const Case& c, const Examination& examination,
                                         Output output);

/// Of the output that the verdict's worst element is in.
std::vector<ElementError> element_errors(const Case& c, const Examination& examination);

/// The keys that a query sees (memory keys not counted), for a case without a cache.
std::vector<int64_t> visible_keys(const DenseMask& mask, int64_t b, int64_t h, int64_t i);

}  // namespace attnfuzz
