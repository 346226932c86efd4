#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "fuzz/aim.h"
#include "fuzz/claims.h"

namespace attnfuzz {

/// What a case's work is the product of: scores and outputs are batch · num_heads · q_len · kv_len
/// rows of head_dim + head_dim_v multiplications.
enum class Factor : uint8_t { batch, heads, queries, keys, dims };

/// Draws the sizes of one case: within the target's ranges and the aim, biased to the edges,
/// distinct from each other most of the time, and such that the whole is not too much work.
///
/// Work is counted in multiplications, not in measured time: a case has to be the same on every
/// machine and in every run, so what a target was seen to take must not steer what is drawn.
class SizeDrawer {
 public:
  SizeDrawer(const Claims& claims, Draw& draw, const Aim& aim);

  /// A size in the axis's range and [min, max], remembered; the same again for an axis that the
  /// target wants equal. The range's own end where the two do not meet.
  int64_t axis(Axis axis, int64_t min, int64_t max);
  /// The axis that is not free: equal to, or made from, another.
  int64_t fixed(Axis axis, int64_t value);
  /// Any number that counts tokens or the like, in [min, max]; `edges` are worth aiming at.
  int64_t edgy(int64_t min, int64_t max, const std::vector<int64_t>& edges);
  /// A number in [min, max], often an end.
  int64_t between_ends(int64_t min, int64_t max);

  /// How large the factor can get within the work, at least 1: the others are what was spent on
  /// them, or the least that they will be.
  int64_t left(Factor factor) const;
  int64_t least(Factor factor) const {
    return static_cast<int64_t>(factors_[static_cast<size_t>(factor)]);
  }
  void spend(Factor factor, int64_t size);

  const Aim& aim() const { return aim_; }

 private:
  void reserve();
  int64_t candidate(int64_t min, int64_t max, const std::vector<int64_t>& edges);

  const Claims& claims_;
  Draw& draw_;
  const Aim& aim_;
  bool distinct_;
  int64_t largest_, largest_log_;  ///< what sizes stay below, and powers of two, tiles aside
  double work_;
  std::array<double, 5> factors_{};
  std::array<std::optional<int64_t>, axis_count> drawn_;
  std::vector<int64_t> used_;
};

}  // namespace attnfuzz
