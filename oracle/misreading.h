#pragma once
#include "oracle/case.h"

namespace attnfuzz {

/// A step of the computation that is left out or done twice.
enum class Slip : uint8_t {
  none,
  dropout_not_rescaled,  ///< kept weights are not divided by the keep probability
  lse_base_2,            ///< the logarithm to base 2
  lse_shifted,           ///< log Σ exp(s − max), without max
  lse_without_sink,
  no_row_dot,           ///< dS = P ∘ dP, without Σ P dP
  row_dot_not_dropped,  ///< Σ P dP without dropout
  dq_not_scaled,
  dk_not_scaled,
  dq_scaled_twice,
  dk_scaled_twice,
  first_head_of_group,  ///< dk and dv of a key head from one of its query heads
  last_head_of_group,
  backward_not_masked,   ///< P for hidden keys too
  backward_not_dropped,  ///< P and dP without dropout
  backward_without_sink,
  no_softcap_slope,         ///< the softcap is taken for the identity
  slope_not_divided,        ///< 1 − (cap · t)² for the softcap's slope 1 − t²
  backward_not_normalised,  ///< exp(s − max) for P
  backward_base_2,          ///< 2^(s − lse) for P
  backward_top_left,        ///< P by the mask as if query 0 stood at key 0
  backward_one_more,        ///< P with positions one farther on
  dv_not_dropped,
  dsinks_negated,
  dbias_scaled,
  dbias_other_order,   ///< as if the bias came on the other side of the softcap
  memory_last_row,     ///< dmem_k and dmem_v from the last batch row alone
  dropped_in_softmax,  ///< dS = A ∘ dP − A Σ P dP, with A, P after dropout, for P
  dq_of_head_dim,      ///< dP for dq from the first head_dim elements of v and grad_out
  other_head_map,      ///< dk and dv of a query head go to the key head of the other map
  head_by_share,       ///< and to slot (h mod group, h / group) of [num_kv_heads, group]
};

/// Where a cached token stands.
struct Place {
  int64_t position;   ///< now
  int64_t born;       ///< when it came
  int64_t first;      ///< the first token of its step, when that came
  int64_t last_move;  ///< by which the last eviction moved it (≤ 0)
  int64_t row;        ///< the batch row that holds it
  bool fresh;         ///< it came with the step at hand
};

/// How a cache is read: as it is, or wrongly.
struct CacheReading {
  int64_t (*key_angle)(const Place&) = nullptr;    ///< by what rope turns a key
  int64_t (*query_angle)(const Place&) = nullptr;  ///< and a query
  /// The key head whose scale is used; −1: none is.
  int64_t (*scale_head)(int64_t g, bool prefill) = nullptr;
  /// Rows that a fork made alike go on to share the page that is partly filled.
  bool tail_shared = false;
  /// The row that first writes to such a page gets a copy of its keys, not of its values.
  bool tail_values_lost = false;
  bool values_stay_in_row = false;   ///< when rows are reordered or forked: keys alone are copied
  bool values_stay_in_slot = false;  ///< when an eviction moves keys up
  /// Which of a row's `count` slots is read for slot n, of pages of `page` slots.
  int64_t (*slot)(int64_t n, int64_t count, int64_t page) = nullptr;
  /// Where masks take a key to stand; `past`: the position of the step's first query.
  int64_t (*key_position)(const Place&, int64_t past, int64_t capacity) = nullptr;
  bool positions_of_first_row = false;  ///< every row's queries stand where the first row's do
  /// The slot of a ring in which a token is kept once its step is over; it is looked for in slot
  /// position mod capacity.
  int64_t (*kept_in)(int64_t position, int64_t capacity) = nullptr;
  /// One buffer for all rows, which doubles when it is full, and then lacks each row's last token.
  bool growing_loses_last = false;
  /// A ring that a single token fills drops its oldest token and keeps an empty slot before the
  /// new.
  bool rolls_early = false;
  /// Behind a later step's tokens its queries see as many slots more, which hold nothing yet.
  bool slots_ahead = false;

  /// Whether the tokens of a row are not simply those in its slots.
  bool of_slots() const {
    return tail_values_lost || values_stay_in_row || values_stay_in_slot || slot != nullptr;
  }
};

/// How a recurrence is read: as it is, or wrongly. Chunks begin anew with each step's tokens.
struct StateReading {
  double gate_power = 1;         ///< 0: no decay; 2: each decay twice
  bool beta = true;              ///< false: beta is 1
  bool own_token = true;         ///< false: a query reads the state before its own token
  bool own_decay = false;        ///< true: a token decays as it comes, S = D (S' + k uᵀ)
  bool first_gate_dim = false;   ///< the gate's element 0 for all elements of the key
  bool first_gate_head = false;  ///< key head 0's gate for all heads
  bool past = true;              ///< false: each step begins with an empty state
  bool rows_before = false;  ///< true: a step decays it by the tokens of the rows before as well
  int64_t chunk = 0;         ///< where the following matter: at multiples of it; 0: nowhere
  double chunk_decay = 1;    ///< power of the decay of a chunk's first token
  bool chunk_last = true;    ///< false: a chunk's last token is no part of the state behind it
  bool chunk_state = true;   ///< false: a chunk begins with an empty state
};

/// How a problem is read wrongly, where no other option of a Problem says it: for alternatives()
/// (oracle/alternatives.h), in no case file.
struct Misreading {
  Slip slip = Slip::none;
  CacheReading cache{};
  StateReading state{};
};

/// The one that a problem is read by; none of it is wrong unless an alternative says so.
inline const Misreading& misreading_of(const Problem& problem) {
  static constexpr Misreading as_it_is;
  return problem.misreading != nullptr ? *problem.misreading : as_it_is;
}
inline bool has_slip(const Problem& problem, Slip slip) {
  return misreading_of(problem).slip == slip;
}

}  // namespace attnfuzz
