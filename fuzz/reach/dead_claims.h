#pragma once
#include <string>
#include <vector>

#include "oracle/feature_set.h"

namespace attnfuzz {

class Claims;
class Generator;

/// Claims that no case can meet, one sentence each: a feature whose partner is not claimed, a range
/// of which a multiple leaves one size, a tile longer than the axis, limits of a rule that is not
/// claimed. They do no harm, but what their author meant to be tested is not.
/// `unusable`: the features among them.
std::vector<std::string> dead_claims(const Claims& claims, const FeatureSet& unusable);

/// Features that are declared, and in none of many cases that were aimed at them.
FeatureSet unusable_features(const Generator& generator);

}  // namespace attnfuzz
