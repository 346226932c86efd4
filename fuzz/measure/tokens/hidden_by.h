#pragma once
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/measure/plan.h"

namespace attnfuzz::measure {

/// By which rules of the mask the case hides keys that queries take all the same.
class HiddenBy {
 public:
  /// `keys`: places in what the query's row holds.
  void add(const Plan& plan, const Query& query, const std::set<size_t>& keys);
  /// " by "padding"": the rules that hide each of them; where there are none, those that hide
  /// some of them.
  std::string words() const;

 private:
  std::set<std::string_view> every_, some_;
  bool any_ = false;
};

}  // namespace attnfuzz::measure
