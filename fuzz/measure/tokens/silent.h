#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/plan.h"
#include "fuzz/measure/tokens/heads_written.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// Queries whose outputs are zeros, whatever the values are, though they see keys.
class SilentFacts {
 public:
  void add_case(const Plan& plan) {
    heads_.push_back({plan.c.problem.num_heads, plan.c.problem.num_kv_heads, {}, {}});
  }
  /// Of a query that sees some key.
  void add(const Plan& plan, const Query& query, bool silent);
  int64_t count() const { return count_; }
  std::string words() const;

 private:
  std::vector<HeadsSeen> heads_;  ///< by case: with silent queries, and with others
  int64_t count_ = 0;
  Where where_;
};

}  // namespace attnfuzz::measure
