#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "oracle/case.h"
#include "oracle/misreading.h"

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
/// A cache that forgets works as if tokens came one by one: what a query sees follows from its
/// position (see sees()), however many tokens its step brings. Hence during a step there are more
/// tokens to look at than stay.
class CacheModel {
 public:
  explicit CacheModel(const Case& c);

  /// Carries out step `index` of the case. Call with 0, 1, 2 … in turn.
  void apply(size_t index);

  /// What the queries of the step just done may look at, in the order of their positions.
  std::span<const Token> tokens(int64_t b) const { return row(b).tokens; }
  /// Where tokens(b) stand.
  std::span<const int64_t> positions(int64_t b) const { return row(b).positions; }
  /// Whose key and whose value is read for tokens(b)[j]: its own, but for a CacheReading. A step of
  /// −1: no token's, zeros.
  Token key(int64_t b, size_t j) const;
  Token value(int64_t b, size_t j) const;
  /// Where tokens(b)[j] stands, and whence it came.
  Place place(int64_t b, size_t j) const;
  /// Position of the first query of the step just done: where the row's next token would have
  /// stood before.
  int64_t past_length(int64_t b) const { return row(b).past; }
  /// How many of the step's queries of row b are real, and the first of them.
  int64_t new_tokens(int64_t b) const { return row(b).queries; }
  int64_t first_new(int64_t b) const { return row(b).first_query; }
  /// Whether the cache lets a query at q_pos see the key at key_pos of key head g. Masks come on
  /// top.
  bool sees(int64_t q_pos, int64_t key_pos, int64_t g) const;

  /// Tokens cached for each row after the step (hybrid: by the heads that keep all).
  std::vector<int64_t> lengths() const;
  /// Where the tokens stand that the row keeps after the step (hybrid: those heads').
  std::vector<int64_t> held_positions(int64_t b) const;
  /// Where each row's next token will stand.
  std::vector<int64_t> next_positions() const;
  /// The most tokens that a row can hold; 0: no limit.
  int64_t capacity() const;

 private:
  /// Of a token: see Place.
  struct Origin {
    int64_t born, first, last_move;
    bool lost = false;  ///< nothing is read for it: see CacheReading
  };
  struct Row {
    std::vector<Token> tokens;
    std::vector<int64_t> positions;
    std::vector<Origin> origins;
    std::vector<Token> slot_k, slot_v;  ///< what is left in its slots, for a CacheReading of them
    int64_t next = 0;                   ///< position of the next token
    int64_t past = 0, queries = 0, first_query = 0;
  };
  const Row& row(int64_t b) const { return rows_[static_cast<size_t>(b)]; }
  bool is_forgotten(const Row& row, int64_t position) const;
  void forget(Row& row) const;
  void crop(Row& row, int64_t length) const;
  void evict(Row& row, const Step& step) const;
  void add(size_t b, const Token& token, int64_t first);
  void share_tail(size_t from, size_t to);
  void share_tails(const Step& reorder);
  void copy_row(Row& to, const Row& from) const;
  void fill_slot(size_t b, size_t slot, const Token& token);
  size_t slot_of(int64_t b, size_t j) const;
  Token held(int64_t b, size_t j, std::vector<Token> Row::*slots) const;
  void keep_in_ring(Row& row) const;
  void grow(size_t b, int64_t added);
  void roll_early(Row& row) const;
  void show_ahead(Row& row, int64_t slots) const;
  static void hide_ahead(Row& row);
  const CacheReading& read() const { return misreading_of(case_.problem).cache; }

  /// Two rows, and the slots of the page that both write to (CacheReading::tail_shared).
  struct Shared {
    size_t a, b, begin, end;
  };

  const Case& case_;
  std::vector<Row> rows_;
  std::vector<Shared> shared_;
  int64_t room_ = 0;  ///< of growing_loses_last
  size_t step_ = 0;   ///< the one just done
};

}  // namespace attnfuzz
