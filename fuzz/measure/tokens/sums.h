#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {

/// Queries that take the right tokens with equal weights, which do not add up as they should: where
/// the case has sinks (a score of each query head that brings no value), what these add instead.
class SumFacts {
 public:
  /// `reading`: at equal scores, with weights of this relative error. Whether it is such a query of
  /// a case with sinks: then the tokens themselves are right.
  bool add(const Plan& plan, const Forge& forge, const Query& query, const Reading& reading,
           double error);
  bool empty() const { return sums_.empty(); }
  std::string words() const;

  struct Sum {
    double added;  ///< what is added to the sum of n keys of exp(0) each: exp(sink) is right
    double error;  ///< of `added`
    double total;  ///< what the weights add up to
    double scale, softcap;
    int64_t head, group;
    int64_t first, last;        ///< the outermost of its keys, memory KV counted
    int64_t held;               ///< how many the row holds, memory KV counted
    int64_t memory;             ///< how many these are
    std::vector<double> sinks;  ///< by query head; empty: no sinks

    double own() const { return sinks[static_cast<size_t>(head)]; }
  };

 private:
  std::string tile_words() const;

  std::vector<Sum> sums_;
};

}  // namespace attnfuzz::measure
