#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attnfuzz {

/// Those of `known` that a mistyped `word` may have meant, closest first, at most three: by edit
/// distance, or because they contain it.
std::vector<std::string> near_matches(std::string_view word, std::span<const std::string> known);

/// "; did you mean 'a' or 'b'?", or empty where nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> known);

/// The same; where nothing is near, "; expected one of " and all that are known.
std::string did_you_mean_or_all(std::string_view word, std::span<const std::string> known);

}  // namespace attnfuzz
