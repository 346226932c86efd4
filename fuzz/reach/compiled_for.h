#pragma once
#include <vector>

#include "fuzz/reach/goal.h"

namespace attnfuzz {

/// The sizes and features for each combination of which a target is compiled anew
/// (Capabilities::compiled_for), and those that go with them: element type and layout always,
/// grouped heads with the number of heads, and the like.
class CompiledFor {
 public:
  explicit CompiledFor(const Claims& claims);

  /// False: the target is compiled once.
  bool any() const { return !quantities_.empty() || named_; }
  const FeatureSet& words() const { return words_; }
  /// Whether one compilation serves both cases.
  bool same(const CaseMarks& a, const CaseMarks& b) const;
  /// Whether a case with these words may be served by the compilation for `first`.
  bool admits(const CaseMarks& first, const FeatureSet& words) const {
    return (words & words_ & ~first.words).none();
  }
  /// Narrows the aim to cases that the compilation for `first` serves.
  Aim within(const CaseMarks& first, Aim aim) const;

 private:
  std::vector<Quantity> quantities_;
  FeatureSet words_;
  bool named_ = false;  ///< features are
};

}  // namespace attnfuzz
