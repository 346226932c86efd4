#pragma once
#include "oracle/test_cases.h"

namespace attnfuzz::measure::testing {

/// A causal case with a window of 3 keys to the left, and more keys than queries.
inline Case windowed() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = 7;
  c.problem.kv_len = 9;
  c.problem.head_dim = 8;
  c.problem.head_dim_v = 5;
  c.problem.mask.align = Align::bottom_right;
  c.problem.mask.rules = {attnfuzz::testing::use("causal"),
                          attnfuzz::testing::use("window", {int64_t{3}, int64_t{0}})};
  return c;
}

}  // namespace attnfuzz::measure::testing
