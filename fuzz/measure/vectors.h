#pragma once
#include <span>
#include <vector>

#include "fuzz/measure/experiment.h"

namespace attnfuzz::measure {

/// Random q and k, of which every product is another, such that scores spread
/// over about `spread`.
class Vectors {
 public:
  Vectors(const Plan& plan, uint64_t seed, double spread);

  void put(Forge& forge) const;
  /// As the target gets them: rounded to the case's dtype, not turned by rope.
  std::span<const double> q(size_t query) const { return row(q_, query); }
  std::span<const double> k(size_t source) const { return row(k_, source); }

  /// The scaled score of a query at `position` (as rope sees it) and a source's
  /// key at `key_position`; a memory KV is not turned. `as`: the problem whose
  /// scale and rope hold.
  double score(const Problem& as, size_t query, int64_t position, size_t source,
               int64_t key_position) const;
  /// As the case says it, of a query of the plan.
  double score(const Query& query, const Key& key) const;

 private:
  std::span<const double> row(const std::vector<double>& of, size_t n) const {
    return std::span(of).subspan(n * dim_, dim_);
  }
  void fill(uint64_t tag, double size, std::span<double> row) const;

  const Plan& plan_;
  uint64_t seed_;
  size_t dim_;
  double size_q_;
  std::vector<double> q_, k_;
};

}  // namespace attnfuzz::measure
