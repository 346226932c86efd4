#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/own_run.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// Outputs that are right but for one factor on all their elements: a log-sum-exp in another base,
/// a gradient without its scale. Measured on each case's own data.
class FactorFacts {
 public:
  void add(const Case& c, const OwnRun& run);
  /// One for each output that had a factor in every case in which it was wrong.
  /// Of out and lse, or of gradients, of which other experiments may tell more.
  std::vector<Statement> statements(bool gradients) const;

 private:
  struct Seen {
    Output output;
    double factor;   ///< NaN: none fits
    size_t telling;  ///< elements that tell it
    Problem problem;
  };
  std::vector<Seen> seen_;
};

}  // namespace attnfuzz::measure
