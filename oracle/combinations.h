#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/feature_set.h"

namespace attnfuzz {

/// What goes together in a case: a word that needs one of others beside it, or that none of others
/// may stand beside. The one table that the check of a case, the generator and the lists of dead
/// claims go by.
struct Combination {
  enum class Kind : uint8_t { needs_one_of, excludes };

  size_t word;
  Kind kind;
  std::vector<size_t> others;
  /// The part of a case file that is at fault where a case does not keep to it. Empty: such a case
  /// is possible, but the word would make no difference in it.
  std::string_view path;

  bool kept_by(const FeatureSet& used) const;
};
const std::vector<Combination>& combinations();

/// The first that a case with these words does not keep to, though it must; nullptr if none.
const Combination* broken_combination(const FeatureSet& used);
/// "no \"dq\" with \"rope:half\"", of a combination that `used` does not keep to.
std::string expected_words(const Combination& combination, const FeatureSet& used);

}  // namespace attnfuzz
