#include "fuzz/draw_rope.h"

#include <algorithm>
#include <cmath>

namespace attnfuzz {

void draw_rope_dim(Draw& draw, Problem& p) {
  const int64_t pairs = (p.head_dim - 1) / 2;
  if (pairs < 1) return;
  const int64_t usual[] = {p.head_dim / 4, p.head_dim / 8};
  const int64_t drawn =
      draw.chance(60) ? draw.pick(std::span<const int64_t>(usual)) : draw.between(1, pairs);
  p.rope_dim = 2 * std::clamp<int64_t>(drawn, 1, pairs);
}

void draw_rope_scaling(bool with_magnitude, int64_t tokens, SizeDrawer& sizes, Draw& draw,
                       Problem& p) {
  constexpr double factors[] = {2, 4, 8, 1.5, 40}, ramps[] = {4, 32, 2.5},
                   magnitudes[] = {1.2, 0.8};
  RopeScaling& s = p.rope_scaling;
  s.factor = draw.pick(std::span<const double>(factors));
  if (s.has_original_len()) s.original_len = sizes.edgy(1, std::max<int64_t>(8, 2 * tokens), {});
  if (s.has_ramp()) {
    // The usual ends, 1 and 4 or 32 rotations, where original_len is long enough for them.
    const bool usual = s.original_len > 7 && draw.chance(50);
    s.low = usual ? 1 : static_cast<double>(s.original_len) / 20;
    s.high = s.low * draw.pick(std::span<const double>(ramps));
  }
  if (with_magnitude)
    s.magnitude = s.law == RopeLaw::yarn ? 0.1 * std::log(s.factor) + 1
                                         : draw.pick(std::span<const double>(magnitudes));
  if (s.law == RopeLaw::yarn) s.truncate = !draw.chance(25);
}

std::vector<int64_t> draw_rope_positions(int64_t count, Draw& draw) {
  std::vector<int64_t> positions;
  const int64_t how = draw.between(0, 3), at = draw.between(0, std::max<int64_t>(0, count - 1));
  for (int64_t j = 0; j < count; ++j) {
    const int64_t ways[] = {j < at ? j : j - at, std::max<int64_t>(0, j - at),
                            j < at ? j : j + 1 + at, draw.between(0, 2 * count)};
    positions.push_back(ways[how]);
  }
  return positions;
}

}  // namespace attnfuzz
