#pragma once
#include <cstdint>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// A token of the inputs: number i of batch row `row` in the tensors "k.<step>" and "v.<step>" ("k"
/// and "v" without steps). A reorder copies tokens, it does not rename them.
struct Token {
  int32_t step = 0, row = 0;
  int64_t i = 0;
  bool operator==(const Token&) const = default;
};
/// In the place of a token: a vector of zeros is read.
inline constexpr Token no_token{-1, 0, 0};

/// A key that a row's queries may look at: which token its key and its value are read from, where
/// it stands for masks, and by which position rope rotates it.
struct KeyEntry {
  Token key, value;
  int64_t position = 0, angle = 0;
  bool operator==(const KeyEntry&) const = default;
};

/// `count` keys in a row: the n-th is read from tokens i + n, and stands at position + n and angle
/// + n. Most rows of most cases are one run, however long.
struct KeyRun {
  KeyEntry first;
  int64_t count = 1;
};

/// `count` queries in a row: the n-th is number i + n of its step, at position + n and angle + n.
/// With a state: it reads the state after key number position + n; −1 is the state before all.
struct QueryRun {
  int64_t i = 0, position = 0, angle = 0;
  int64_t count = 1;
};

/// What one batch row holds in one step, and its queries, which read it; none in a step without
/// tokens. Keys are in the order of their positions; memory keys, which all rows have before them,
/// are not listed.
struct RowPlan {
  std::vector<KeyRun> keys;
  std::vector<QueryRun> queries;
  /// Kinds of attention with a state: the numbers of the keys at which it begins at zero again.
  std::vector<int64_t> starts;

  int64_t num_keys() const;
  int64_t num_queries() const;
  void add(const KeyEntry& entry);  ///< extends the last run where it can
  void add(const QueryRun& query);  ///< of one query
  std::vector<KeyEntry> entries() const;
};

/// One step, and what the cache says of itself after it.
struct StepPlan {
  std::vector<RowPlan> rows;
  /// The KV head whose scale dequantises head g, −1: none is used. Empty: each head's own.
  std::vector<int64_t> scale_heads;
  std::vector<int64_t> lengths;    ///< tokens cached for each row; empty without a cache
  std::vector<int64_t> positions;  ///< where each row's next token will stand; likewise
  int64_t capacity = 0;            ///< tokens that a row can hold; 0: no limit
};

/// A Case lowered: which vectors each query reads, where they stand and how they are rotated. Data
/// alone. Mask rules and the cache's own visibility are evaluated from the positions, row by row.
struct Plan {
  std::vector<StepPlan> steps;  ///< one for a case without steps
};

class CacheHistory;

Plan lower(const Case& c);
/// The same by another history than the right one: `history` has done no step yet.
Plan lower(const Case& c, CacheHistory& history);

}  // namespace attnfuzz
