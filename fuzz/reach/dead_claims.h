#pragma once
#include <string>
#include <vector>

namespace attnfuzz {

class Claims;

/// Claims that no case can meet, one sentence each: a feature whose partner is not claimed, a range
/// of which a multiple leaves one size, a tile longer than the axis, limits of a rule that is not
/// claimed. They do no harm, but what their author meant to be tested is not.
std::vector<std::string> dead_claims(const Claims& claims);

}  // namespace attnfuzz
