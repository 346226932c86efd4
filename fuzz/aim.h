#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "oracle/feature_set.h"
#include "oracle/names.h"

namespace attnfuzz {

/// The numbers from min to max, both included.
struct Interval {
  int64_t min = 0, max = std::numeric_limits<int64_t>::max();

  bool contains(int64_t x) const { return min <= x && x <= max; }
  bool empty() const { return min > max; }
  Interval meet(const Interval& other) const {
    return {std::max(min, other.min), std::min(max, other.max)};
  }
  bool operator==(const Interval&) const = default;
};

/// The numbers of a Case that decide which path of a kernel it takes. The first are those of Axis,
/// in its order. A case has several values of those that each step has.
enum class Quantity : uint8_t {
  batch,
  num_heads,
  num_kv_heads,
  q_len,
  kv_len,
  head_dim,
  head_dim_v,
  memory_kv,
  steps,
  capacity,
  page_size,
  group,         ///< query heads for each KV head
  append_past,   ///< tokens that a row holds before a step that appends several,
  decode_past,   ///< and before one that decodes: kernels have a path for each
  wraps,         ///< how often a cache that forgets was filled anew: (most tokens − 1) / capacity
  past_ring,     ///< by how many tokens a step is longer than the capacity of such a cache
  free_slots,    ///< of a cache that does not: its capacity − most tokens
  window_left,   ///< the rule's parameter
  window_right,  ///< the rule's parameter
  chunk_size,    ///< the rule's parameter
  q_block,       ///< of the rule block_sparse
  kv_block,      ///< of the rule block_sparse
  dilation,      ///< the step of the rule dilated
  max_distance,  ///< of the rule relative_bias
  sequences,     ///< how many the rule packed has,
  empty_q,       ///< of them without queries,
  empty_kv,      ///< and without keys, but with queries
  packed_begin,  ///< the first key of one of them
  selected,      ///< the rule indices' count
  select_block,  ///< and its q_block
};
template <>
inline constexpr std::array<std::string_view, 30> names_of<Quantity>{"batch",
                                                                     "num_heads",
                                                                     "num_kv_heads",
                                                                     "q_len",
                                                                     "kv_len",
                                                                     "head_dim",
                                                                     "head_dim_v",
                                                                     "memory_kv",
                                                                     "steps",
                                                                     "capacity",
                                                                     "page_size",
                                                                     "group",
                                                                     "append_past",
                                                                     "decode_past",
                                                                     "wraps",
                                                                     "past_ring",
                                                                     "free_slots",
                                                                     "window.left",
                                                                     "window.right",
                                                                     "chunk.size",
                                                                     "block_sparse.q_block",
                                                                     "block_sparse.kv_block",
                                                                     "dilated.step",
                                                                     "relative_bias.max_distance",
                                                                     "packed sequences",
                                                                     "packed without queries",
                                                                     "packed without keys",
                                                                     "packed begin",
                                                                     "indices.count",
                                                                     "indices.q_block"};

/// Steps that bring tokens behind others, and what a row holds before such a step.
struct PastOf {
  StepOp op;
  Quantity quantity;
};
inline constexpr PastOf steps_with_past[] = {{StepOp::append, Quantity::append_past},
                                             {StepOp::decode, Quantity::decode_past}};

/// What a case is steered to: features that it has to use, and intervals for its numbers. All else
/// is drawn, and kept small. Where the claims and the aim do not meet, the claims hold.
struct Aim {
  FeatureSet words;
  FeatureSet without = {};  ///< features that it must not use
  std::array<Interval, names_of<Quantity>.size()> within{};
  double work = 0;  ///< multiplications to stay below where the aim lets it; 0: no aim at all

  bool on() const { return work > 0; }
  /// Whether it asks for a cache, or for none; nothing: either will do.
  std::optional<bool> cached() const {
    const Interval& steps = of(Quantity::steps);
    if (steps.max == 0) return false;
    return steps.min > 0 ? std::optional<bool>(true) : std::nullopt;
  }
  const Interval& of(Quantity q) const { return within[static_cast<size_t>(q)]; }
  Interval& of(Quantity q) { return within[static_cast<size_t>(q)]; }
  bool constrains(Quantity q) const { return !(of(q) == Interval{}); }
  /// The most that a row has to hold before any step.
  int64_t least_past() const {
    return std::max(of(Quantity::append_past).min, of(Quantity::decode_past).min);
  }
};

}  // namespace attnfuzz
