#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "oracle/lower/plan.h"

namespace attnfuzz {

/// What a cache holds, row by row, as the steps of a case go by: the specification that every cache
/// is held against.
///
/// A cache that forgets works as if tokens came one by one: what a query sees follows from its
/// position (see cache_shows()), however many tokens its step brings. Hence during a step there are
/// more tokens to look at than stay.
class CacheHistory {
 public:
  explicit CacheHistory(const Case& c);
  virtual ~CacheHistory() = default;
  CacheHistory(const CacheHistory&) = delete;
  CacheHistory& operator=(const CacheHistory&) = delete;

  /// Carries out step `index` of the case. Call with 0, 1, 2 … in turn.
  virtual void apply(size_t index);
  /// What the queries of the step just done read, and what the cache says of itself after it.
  virtual StepPlan plan() const;

  /// What the queries of the step just done may look at, in the order of their positions.
  std::span<const KeyEntry> entries(int64_t b) const { return row(b).entries; }
  /// Where entries(b) stand.
  std::vector<int64_t> positions(int64_t b) const;
  /// Position of the first query of the step just done: where the row's next token would have
  /// stood before.
  int64_t past_length(int64_t b) const { return row(b).past; }
  /// How many of the step's queries of row b are real, and the first of them.
  int64_t new_tokens(int64_t b) const { return row(b).queries; }
  int64_t first_new(int64_t b) const { return row(b).first_query; }

  /// Tokens cached for each row after the step (hybrid: by the heads that keep all).
  std::vector<int64_t> lengths() const;
  /// Where the tokens stand that the row keeps after the step (hybrid: those heads').
  std::vector<int64_t> held_positions(int64_t b) const;
  /// Where each row's next token will stand.
  std::vector<int64_t> next_positions() const;
  /// The most tokens that a row can hold; 0: no limit.
  int64_t capacity() const;

 protected:
  struct Row {
    std::vector<KeyEntry> entries;
    int64_t next = 0;  ///< position of the next token
    int64_t past = 0, queries = 0, first_query = 0;
  };
  const Case& the_case() const { return case_; }
  const Row& row(int64_t b) const { return rows_[static_cast<size_t>(b)]; }
  std::vector<Row>& rows() { return rows_; }

 private:
  bool is_forgotten(const Row& row, int64_t position) const;
  void forget(Row& row) const;
  void copy_rows(const Step& step);
  void evict(Row& row, const Step& step) const;
  void append(size_t index, size_t b);

  const Case& case_;
  std::vector<Row> rows_;
};

/// Whether the cache lets a query at q_pos see the key at key_pos of KV head g. Masks come on top.
bool cache_shows(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g);

}  // namespace attnfuzz
