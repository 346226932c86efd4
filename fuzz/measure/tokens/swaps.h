#pragma once
#include <set>
#include <string>
#include <vector>

#include "fuzz/measure/head_law.h"
#include "fuzz/measure/tokens/difference.h"

namespace attnfuzz::measure {

/// Declared keys that queries did not take, and what they took instead.
class SwapFacts {
 public:
  void add(const Plan& plan, const Query& query, const Reading& reading, const Difference& all);
  bool empty() const { return swaps_.empty(); }
  /// Whether nothing else is wrong.
  bool are_all() const { return are_all_; }
  /// Whether one place says it of all.
  bool has_rule() const { return !place_words().empty(); }
  /// "the token at the same place of row 0"; it begins with untold_other where no row, head and
  /// place says it of all.
  std::string words() const;

 private:
  struct Swap {
    Place from, to;
    int64_t row, head;  ///< the query's
  };
  std::string place_words() const;
  std::string row_words(bool same_place) const;
  std::string head_words() const;
  bool all(const auto& holds) const;

  std::vector<Swap> swaps_;
  std::set<HeadUse> heads_used_;  ///< of queries that take the tokens of one KV head alone
  bool are_all_ = true;
};

}  // namespace attnfuzz::measure
