#pragma once
#include <bitset>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// Every word that features() can give and a target can declare, sorted.
const std::vector<std::string>& feature_words();

/// A set of feature words, by their places in feature_words().
using FeatureSet = std::bitset<256>;

/// A word's place. Throws std::logic_error for a word that is none.
size_t word_index(std::string_view word);

/// The places of a word, or of all words of a family ("rope:").
FeatureSet words_like(std::string_view word_or_family);

/// The words of a set, in their order.
std::vector<std::string> words_of(const FeatureSet& set);

/// What a case asks for: its features() without "fully_masked:…", which only a look at every row
/// of the mask can tell.
FeatureSet chosen_features(const Case& c);

}  // namespace attnfuzz
