#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "oracle/case.h"
#include "oracle/inputs.h"
#include "oracle/lower/cache_history.h"

namespace attnfuzz::measure {

/// Token i of KV head `head` in row `row` of the tensors "k.<step>" and
/// "v.<step>" (without steps: step 0). A memory KV has step −1 and row 0.
struct Source {
  int32_t step = 0, row = 0, head = 0;
  int64_t i = 0;
};

/// A key that a query sees, as the case declares it.
struct Key {
  size_t source = 0;     ///< an index into Plan::sources, for the key and its value
  int64_t position = 0;  ///< −1 for a memory KV
  double bias = 0;
  size_t place = 0;  ///< in what the query's row holds
};

/// One query of one head, and the keys that it sees.
struct Query {
  int32_t step = 0, b = 0, h = 0;
  int64_t i = 0;         ///< its place in the step's q
  int64_t position = 0;  ///< on the keys' axis
  std::vector<Key> keys;
};

/// What a row holds while a step's queries look at it.
struct Held {
  std::vector<Token> tokens;
  std::vector<int64_t> positions;
};

/// What a case of softmax attention declares: which keys each query sees, and
/// where they stand.
struct Plan {
  Case c;
  std::vector<Source> sources;
  std::vector<int64_t> born;   ///< of each source, the position at which it came in; −1: memory
  std::vector<Query> queries;  ///< all that a real token stands for, by step, row, head, place
  std::vector<std::vector<Held>> held;  ///< [step][row]; empty rows for a step without tokens

  /// The index of a source.
  size_t source(const Token& token, int64_t head) const;
  size_t memory(int64_t head, int64_t i) const {
    return static_cast<size_t>(head * c.problem.memory_kv + i);
  }

  std::vector<size_t> first_of_step;  ///< the first source of each step
};
Plan declared(const Case& c);

/// What a score becomes before the softmax: with bias and softcap, in the problem's order.
double finished(const Problem& problem, double score, double bias);

/// The weights of a query's keys by the case's formula, for these scores before
/// softcap and bias (one for each key). The sink is −inf where the case has
/// none.
std::vector<double> weights(const Problem& problem, const Query& query,
                            std::span<const double> scores, double sink);

}  // namespace attnfuzz::measure
