#pragma once
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// What one step asks for.
struct StepSize {
  int64_t q_len = 0, keys = 0;
  int64_t first_position = 0;  ///< of query 0 of the longest row

  /// Multiplications for the scores and the output of one query row.
  double of_row(const Problem& p) const {
    return static_cast<double>(keys) * static_cast<double>(p.head_dim + p.head_dim_v);
  }
  double of_all(const Problem& p) const {
    return of_row(p) * static_cast<double>(q_len) * static_cast<double>(p.batch) *
           static_cast<double>(p.num_heads);
  }
};

/// Of each step; one for a case without steps.
std::vector<StepSize> step_sizes(const Case& c);

/// What a case costs, the reference and the target alike: the multiplications for its scores and
/// outputs, all keys counted, whatever the mask hides. A function of the case alone.
double work(const Case& c);

/// Of more work than this a failure is only shrunk, and not explained, until the case is shorter:
/// hundreds of explanations are evaluated, each at the cost of the reference, and up to here all
/// take some tenths of a second. From most_multiplications on (oracle/sample.h) it is judged on a
/// sample of its rows.
inline constexpr double most_explained = 1e7;

inline bool is_long(const Case& c) {
  return work(c) > most_explained;
}

}  // namespace attnfuzz
