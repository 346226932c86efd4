#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// A cached token: element i of source row `row` of the tensors "k.<step>" and "v.<step>". A
/// reorder copies tokens, it does not rename them.
struct Token {
  int32_t step = 0, row = 0;
  int64_t i = 0;
  bool operator==(const Token&) const = default;
};

/// What a cache holds, row by row, as the steps of a case go by: the specification that every cache
/// is held against.
///
/// A ring works as if tokens came one by one: the query at position p sees no key before
/// p − capacity + 1 (its horizon), however many tokens its step brings. Hence during a step there
/// are more tokens to look at than stay.
class CacheModel {
 public:
  explicit CacheModel(const Case& c);

  /// Carries out step `index` of the case. Call with 0, 1, 2 … in turn.
  void apply(size_t index);

  /// What the queries of the step just done may look at, in the order of their positions.
  std::span<const Token> tokens(int64_t b) const { return rows_[static_cast<size_t>(b)].tokens; }
  /// Position of tokens(b)[0] in its row; the others follow one by one.
  int64_t first_position(int64_t b) const { return rows_[static_cast<size_t>(b)].first; }
  /// Position of the first query of the step just done: how many tokens came to the row before.
  int64_t past_length(int64_t b) const { return rows_[static_cast<size_t>(b)].past; }
  /// How many of the step's queries of row b are real.
  int64_t new_tokens(int64_t b) const { return rows_[static_cast<size_t>(b)].added; }
  /// The oldest position that a query at q_pos may see.
  int64_t horizon(int64_t q_pos) const;

  /// Tokens cached for each row after the step.
  std::vector<int64_t> lengths() const;

 private:
  struct Row {
    std::vector<Token> tokens;
    int64_t first = 0, past = 0, added = 0;
  };
  int64_t kept(const Row& row) const;

  const Case& case_;
  std::vector<Row> rows_;
};

}  // namespace attnfuzz
