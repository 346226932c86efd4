#pragma once
#include <string>

#include "fuzz/campaign.h"

/// Drawings as inline SVG; colours come from the page's style (classes seen, hidden, e0 … e4).
namespace attnfuzz {

/// The mask of one row and head, a cell for each query and key; empty for a cached case and where
/// there is nothing to draw.
std::string mask_svg(const Case& c, int64_t b, int64_t h);

/// For each step, batch row and head, a cell for each query: the largest |error| / bound along its
/// elements. Empty where the target gave no comparable output.
std::string error_svg(const Case& c, const Examination& examination);

}  // namespace attnfuzz
