#pragma once
#include <span>
#include <string>
#include <vector>

#include "fuzz/measure/weights.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// Of quantised caches: by what the values of the tokens that should be taken are multiplied.
class StoredFactors {
 public:
  /// Whether exactly the right tokens are taken, some with a multiple of their weight.
  bool add(const Plan& plan, const Forge& forge, const Query& query, std::span<const double> got,
           std::span<const double> want);
  bool empty() const { return factors_.empty(); }
  std::string words() const;

 private:
  Where where_;
  std::vector<double> factors_;
  bool all_lost_ = true;  ///< each factor is that of a value of 1 that is read with a scale of 1
};

}  // namespace attnfuzz::measure
