#pragma once
#include <vector>

#include "fuzz/judge.h"

namespace attnfuzz {

/// What a target gave on a case, to hold faults against. The right answer is worked out once. All
/// that it is made of must outlive it.
class FaultCheck {
 public:
  FaultCheck(const Case& c, const Inputs& inputs, const Precision& precision,
             const Outcome& outcome);

  /// Whether the outcome is what a fault makes of the case: within the bounds of its answer, and of
  /// the right one where it says nothing. A fault that does not apply to the case makes no
  /// difference.
  bool predicts(const Fault& fault) const;

 private:
  const Case& c_;
  const Inputs& inputs_;
  Precision precision_;
  const Outcome& outcome_;
  Answer right_;
  bool passes_ = false;  ///< it is right
  bool framed_ = true;   ///< shapes and what a cache says of itself are right, or values are wrong
  bool leaked_ = false;
  std::vector<std::vector<std::vector<double>>> got_;  ///< elements of its right-shaped steps
};

}  // namespace attnfuzz
