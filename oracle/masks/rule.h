#pragma once
#include <algorithm>
#include <cstdint>

#include "oracle/case.h"
#include "oracle/mask.h"

namespace attnfuzz::masks {

/// Hides every key whose position is outside [first, last]. Most rules are such an interval.
inline void keep_between(const RowContext& context, const MaskRow& row, int64_t first,
                         int64_t last) {
  for (size_t j = 0; j < row.visible.size(); ++j) {
    const int64_t pos = context.key_pos[j];
    row.visible[j] &= static_cast<uint8_t>((pos >= first) & (pos <= last));
  }
}

/// Farther than any position can be, near enough that sums of a few of them do not overflow.
inline constexpr int64_t unbounded = int64_t{1} << 60;

/// A distance given in a case, made safe to add to a position.
inline int64_t distance(int64_t value) {
  return std::min(value, unbounded);
}

/// Which axes a random mask or bias has; an axis it lacks has coordinate 0.
inline constexpr std::string_view shape_choices[] = {"qk", "bqk", "hqk", "bhqk"};
struct Coordinates {
  int64_t b, h;
};
inline Coordinates coordinates(const RowContext& context, int64_t shape) {
  return {(shape & 1) != 0 ? context.b : 0, (shape & 2) != 0 ? context.h : 0};
}

}  // namespace attnfuzz::masks
