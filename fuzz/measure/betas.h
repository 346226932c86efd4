#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/weights.h"

namespace attnfuzz::measure {

/// With which beta each token entered a target's state (kinds with the delta rule): the weight with
/// which a query reads its own token, over the scale.
class BetaFacts {
 public:
  /// `reads`: of each source whether a query of ones reads it whole; `beta` and `gate` by source
  /// (`gate` may be empty); `error`: of weights, relative.
  void add(const Plan& plan, const std::vector<uint8_t>& reads, const std::vector<double>& beta,
           const std::vector<double>& gate, const Weights& got, double error);
  /// "A token enters the state with …"; empty where all betas are right, or no law says them.
  std::string words() const;

 private:
  struct Seen {
    double own, used, error;
    double before, behind, head_0, row_0, gate;  ///< what it may be instead; NaN: there is none
    std::string other;  ///< whose beta or gate it is, of another token; empty: nobody's
  };
  std::vector<Seen> wrong_;
  size_t count_ = 0;
};

}  // namespace attnfuzz::measure
