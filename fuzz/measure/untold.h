#pragma once
#include <string_view>

namespace attnfuzz::measure {

/// How statements begin that tell what was seen, for which no rule was found. Many bugs have them.
inline constexpr std::string_view untold_hidden =
    "Queries see keys of their row that the case hides.";
inline constexpr std::string_view untold_shown = "Queries do not see keys that the case shows.";
inline constexpr std::string_view untold_foreign = "Queries take ";
inline constexpr std::string_view untold_weights =
    "The right tokens are taken, with wrong weights: ";
inline constexpr std::string_view untold_sum =
    "The right tokens are taken with equal weights, which add up to ";
inline constexpr std::string_view untold[] = {untold_hidden, untold_shown, untold_foreign,
                                              untold_weights, untold_sum};

}  // namespace attnfuzz::measure
