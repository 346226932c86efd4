#pragma once
#include <span>
#include <string>

#include "fuzz/measure/relate.h"

namespace attnfuzz::measure {

/// Of the keys that queries should see and do not: whether they are the oldest, or the newest, of
/// these, and how many.
class EndFacts {
 public:
  /// `missing`: places, in order. How many a query lacks that sees none is not known.
  void add(const Plan& plan, const Query& query, std::span<const size_t> missing);
  /// Empty where these are not the keys of one end, or nothing says how many.
  std::string words() const;

 private:
  bool all_oldest_ = true, all_newest_ = true;
  Relation missing_, kept_;  ///< how many are missing, and how many are not
};

}  // namespace attnfuzz::measure
