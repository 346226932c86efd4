#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "fuzz/claims.h"

namespace attnfuzz {

/// Draws the sizes of one case: biased to the edges, within the target's ranges, distinct from each
/// other most of the time, and such that the whole is not too much work.
class SizeDrawer {
 public:
  SizeDrawer(const Claims& claims, Draw& draw);

  /// A size in the axis's range and [min, max], remembered; the same again for an axis that the
  /// target wants equal. The range's own end where the two do not meet.
  int64_t axis(Axis axis, int64_t min, int64_t max);
  /// The axis that is not free: equal to, or made from, another.
  int64_t fixed(Axis axis, int64_t value);
  /// Any number that counts tokens or the like, in [min, max]; `edges` are worth aiming at.
  int64_t edgy(int64_t min, int64_t max, const std::vector<int64_t>& edges);

  /// What is left of the work for the axes to come, at least 1. spend(n): n times less.
  int64_t left() const { return left_; }
  void spend(int64_t factor);

 private:
  int64_t candidate(int64_t min, int64_t max, const std::vector<int64_t>& edges);

  const Claims& claims_;
  Draw& draw_;
  bool distinct_;
  int64_t largest_, largest_log_;  ///< what sizes stay below, and powers of two, tiles aside
  int64_t left_;                   ///< multiplications
  std::array<std::optional<int64_t>, axis_count> drawn_;
  std::vector<int64_t> used_;
};

}  // namespace attnfuzz
