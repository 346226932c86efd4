#pragma once
#include <cstdint>

#include "oracle/lower/plan.h"

namespace attnfuzz::fault {

/// Where a cached token stands, and how it got there.
struct Place {
  int64_t position;   ///< now
  int64_t born;       ///< when it came
  int64_t first;      ///< where the first token of its step stood, when that came
  int64_t last_move;  ///< by which the last eviction moved it (≤ 0)
  int64_t row;        ///< the batch row that holds it
  bool fresh;         ///< it came with the step at hand
};

/// A right plan with some of its numbers replaced; what is left out stays as it is.
struct PlanEdit {
  int64_t (*key_angle)(const Place&) = nullptr;
  /// `first`: where the step's first query stands.
  int64_t (*query_angle)(int64_t position, int64_t first) = nullptr;
  /// Where masks take a key to stand, and rope with them unless key_angle says otherwise.
  int64_t (*key_position)(const Place&, int64_t first, int64_t capacity) = nullptr;
  /// The KV head whose scale is used for head g; −1: none is.
  int64_t (*scale_head)(int64_t g, bool prefill) = nullptr;
  bool queries_of_first_row = false;  ///< every row's queries stand where the first row's do
};
Plan edited(const Case& c, const PlanEdit& edit);

template <const PlanEdit& edit>
Plan edited(const Case& c) {
  return edited(c, edit);
}

}  // namespace attnfuzz::fault
