#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {

/// Queries that take the right tokens with equal weights, which do not add up as they should.
class SumFacts {
 public:
  void add(const Plan& plan, const Forge& forge, const Query& query, const Reading& reading);
  bool empty() const { return sums_.empty(); }
  std::string words() const;

 private:
  struct Sum {
    double seen;   ///< the sink's share, in shares of one key
    double total;  ///< what the weights add up to
    int64_t head;
    std::vector<double> sinks;  ///< exp(sink) by query head; empty: no sinks
  };
  std::vector<Sum> sums_;
};

}  // namespace attnfuzz::measure
