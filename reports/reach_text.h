#pragma once
#include <string>
#include <vector>

#include "fuzz/reach/reached.h"

namespace attnfuzz {

/// "41 of 43 goals reached"; empty where a target has none.
std::string reach_headline(const Reach& reach);

/// The goals that were not reached, each with why: at most `most` lines, the last of which says how
/// many more there are. Goals with one reason stand in one line.
std::vector<std::string> missed_goals(const Reach& reach, size_t most);

}  // namespace attnfuzz
