#pragma once
#include <cstdint>

namespace attnfuzz {

/// Where a cached token stands.
struct Place {
  int64_t position;   ///< now
  int64_t born;       ///< when it came
  int64_t first;      ///< the first token of its step, when that came
  int64_t last_move;  ///< by which the last eviction moved it (≤ 0)
  int64_t row;        ///< the batch row that holds it
  bool fresh;         ///< it came with the step at hand
};

/// How a cache can be read wrongly: for alternatives (oracle/alternatives.h), in no case file.
struct Misreading {
  int64_t (*key_angle)(const Place&) = nullptr;    ///< by what rope turns a key
  int64_t (*query_angle)(const Place&) = nullptr;  ///< and a query
  /// The key head whose scale is used; −1: none is.
  int64_t (*scale_head)(int64_t g, bool prefill) = nullptr;
  /// Rows that a fork made alike go on to share the page that is partly filled.
  bool tail_shared = false;
};

}  // namespace attnfuzz
