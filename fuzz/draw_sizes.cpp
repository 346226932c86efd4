#include "fuzz/draw_sizes.h"

#include <algorithm>

namespace attnfuzz {
namespace {

/// How large a case is: most are tiny, since bugs of shape and mask show there and they are cheap.
struct Style {
  int percent;
  int64_t largest;      ///< sizes go up to here,
  int64_t largest_log;  ///< powers of two up to this one
  int64_t work;         ///< multiplications for scores and outputs
};
constexpr Style styles[] = {{70, 9, 4, 1 << 13}, {26, 40, 6, 1 << 16}, {4, 300, 8, 1 << 19}};
constexpr int percent_distinct = 80;
constexpr int tries_for_distinct = 8;

const Style& draw_style(Draw& draw) {
  int64_t rest = draw.between(0, 99);
  for (const Style& style : styles)
    if ((rest -= style.percent) < 0) return style;
  return styles[0];
}

}  // namespace

SizeDrawer::SizeDrawer(const Claims& claims, Draw& draw)
    : claims_(claims), draw_(draw), distinct_(draw.chance(percent_distinct)) {
  const Style& style = draw_style(draw);
  largest_ = style.largest;
  largest_log_ = style.largest_log;
  left_ = style.work;
  used_.reserve(axis_count);
}

void SizeDrawer::spend(int64_t factor) {
  left_ = std::max<int64_t>(1, left_ / std::max<int64_t>(1, factor));
}

int64_t SizeDrawer::candidate(int64_t min, int64_t max, const std::vector<int64_t>& edges) {
  const int64_t small_max = std::min(max, std::max(min, largest_));
  switch (draw_.between(0, 9)) {
    case 0:
      return min;
    case 1:
      return min + 1;
    case 2:
      return small_max;
    case 3:
    case 4:
    case 5:
      if (!edges.empty()) {  // tile − 1, tile, tile + 1, 2·tile …
        const int64_t tile = draw_.pick(std::span<const int64_t>(edges));
        return tile * draw_.between(1, 2) + draw_.between(-1, 1);
      }
      return draw_.between(min, small_max) | 1;
    case 6: {
      const int64_t power = int64_t{1} << draw_.between(1, largest_log_);
      return power + draw_.between(-1, 1);
    }
    default:
      return draw_.between(min, small_max);
  }
}

int64_t SizeDrawer::edgy(int64_t min, int64_t max, const std::vector<int64_t>& edges) {
  return max <= min ? min : std::clamp(candidate(min, max, edges), min, max);
}

int64_t SizeDrawer::fixed(Axis axis, int64_t value) {
  drawn_[static_cast<size_t>(claims_.same_as(axis))] = value;
  used_.push_back(value);
  return value;
}

int64_t SizeDrawer::axis(Axis axis, int64_t min, int64_t max) {
  const Axis first = claims_.same_as(axis);
  if (const auto& known = drawn_[static_cast<size_t>(first)]) return *known;
  const SizeRange& range = claims_.range(first);
  const int64_t step = range.multiple_of;
  const int64_t least = (std::max(range.min, min) + step - 1) / step * step;
  const int64_t most = std::max(least, std::min(range.max, max) / step * step);
  int64_t value = least;
  for (int tries = 0; tries < tries_for_distinct; ++tries) {
    value = edgy(least, most, claims_.tiles(axis)) / step * step;
    if (!distinct_ || std::find(used_.begin(), used_.end(), value) == used_.end()) break;
  }
  return fixed(axis, value);
}

}  // namespace attnfuzz
