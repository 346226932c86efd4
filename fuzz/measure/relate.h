#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {

/// Whole numbers that were measured of rows, and what they are made of, in all
/// of them.
class Relation {
 public:
  /// `step`: of the keys that the number is about; −1: none.
  void add(const Row& row, int64_t number, int32_t step = -1);
  bool empty() const { return numbers_.empty(); }
  /// "3", "the step's q_len (2 to 9)", "2 (row 0), 5 (row 1) …".
  std::string words() const;

 private:
  using Terms = std::vector<std::pair<std::string_view, int64_t>>;
  std::vector<int64_t> numbers_;
  std::vector<Terms> terms_;
  std::vector<std::string> places_;
};

}  // namespace attnfuzz::measure
