#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/measure/terms.h"

namespace attnfuzz::measure {

/// Whole numbers that were measured of queries, and what they are made of, in all of them.
class Relation {
 public:
  /// `step`: of the keys that the number is about; −1: none.
  void add(const Plan& plan, const Query& query, int64_t number, int32_t step = -1);
  /// A number that is not known for sure: of what the others are made of, that comes first which
  /// says this one too.
  void add_guess(const Plan& plan, const Query& query, int64_t number, int32_t step = -1);
  bool empty() const { return numbers_.empty(); }
  bool varies() const;  ///< not all numbers are the same
  /// Whether words() names what the numbers are, or that they are all the same.
  bool is_known() const { return !known_words("").empty(); }
  /// "3 tokens", "the step's q_len (2 to 9 tokens)", "2 tokens (row 0), 5 tokens (row 1) …".
  std::string words(std::string_view unit) const;

 private:
  std::string known_words(std::string_view unit) const;

  std::vector<int64_t> numbers_;
  std::vector<Terms> terms_;  ///< of the numbers
  std::vector<std::pair<int64_t, Terms>> guesses_;
  std::vector<std::string> places_;
};

}  // namespace attnfuzz::measure
