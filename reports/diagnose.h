#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz {

/// A likely reason for a failure, in words with the axes named.
struct Cause {
  std::string name;   ///< the table's key: "mask-axis", "window-ignored"
  std::string words;  ///< a sentence or two for a maintainer
};

/// All that fit, likeliest first: what a checker noticed, faults that the
/// output has, then error texts whose numbers name axes, then where the error lies (rows, keys,
/// heads, tiles).
std::vector<Cause> diagnose(const Finding& finding);

/// The table behind it, for `attnfuzz causes`.
struct CauseEntry {
  std::string_view name, words;
};
std::vector<CauseEntry> cause_table();

}  // namespace attnfuzz
