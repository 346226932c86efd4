#include "fuzz/draw_sizes.h"

#include <algorithm>
#include <cmath>

namespace attnfuzz {
namespace {

/// How large a case is. The styles are shares of time: what a tiny or a small case costs is mostly
/// not its arithmetic, so that most cases are; the large ones are as few as to take a like share.
struct Style {
  int per_thousand;
  int64_t largest;      ///< sizes go up to here,
  int64_t largest_log;  ///< powers of two up to this one
  double work;          ///< multiplications for scores and outputs
};
constexpr Style styles[] = {
    {710, 9, 4, 1 << 14}, {252, 40, 6, 1 << 16}, {36, 300, 8, 1 << 19}, {2, 1100, 10, 1 << 22}};
constexpr int percent_distinct = 80;
constexpr int tries_for_distinct = 8;

const Style& draw_style(Draw& draw) {
  int64_t rest = draw.between(0, 999);
  for (const Style& style : styles)
    if ((rest -= style.per_thousand) < 0) return style;
  return styles[0];
}

}  // namespace

SizeDrawer::SizeDrawer(const Claims& claims, Draw& draw, const Aim& aim)
    : claims_(claims), draw_(draw), aim_(aim), distinct_(draw.chance(percent_distinct)) {
  const Style& style = aim.on() ? styles[0] : draw_style(draw);
  largest_ = style.largest;
  largest_log_ = style.largest_log;
  work_ = aim.on() ? aim.work : style.work;
  used_.reserve(axis_count);
  reserve();
}

/// The least that each factor will be, so that what is drawn first leaves enough for the others.
void SizeDrawer::reserve() {
  const auto least = [&](Axis axis) {
    const Interval& aimed = aim_.of(static_cast<Quantity>(axis));
    return std::max({int64_t{1}, claims_.range(axis).min, aimed.min});
  };
  const int64_t past = aim_.least_past();
  const auto set = [&](Factor factor, int64_t size) {
    factors_[static_cast<size_t>(factor)] = static_cast<double>(size);
  };
  set(Factor::batch, least(Axis::batch));
  set(Factor::heads,
      std::max(least(Axis::num_heads), least(Axis::num_kv_heads) * aim_.of(Quantity::group).min));
  set(Factor::queries, least(Axis::q_len));
  set(Factor::keys, std::max(least(Axis::kv_len), past));
  set(Factor::dims, least(Axis::head_dim) + least(Axis::head_dim_v));
}

int64_t SizeDrawer::left(Factor factor) const {
  double others = 1;
  for (size_t k = 0; k < factors_.size(); ++k)
    if (k != static_cast<size_t>(factor)) others *= factors_[k];
  return std::max<int64_t>(1, static_cast<int64_t>(work_ / others));
}

void SizeDrawer::spend(Factor factor, int64_t size) {
  factors_[static_cast<size_t>(factor)] = static_cast<double>(std::max<int64_t>(1, size));
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

int64_t SizeDrawer::between_ends(int64_t min, int64_t max) {
  if (max <= min) return min;
  switch (draw_.between(0, 3)) {
    case 0:
      return min;
    case 1:
      return max;
    default:
      return draw_.between(min, max);
  }
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
  const auto up = [step](int64_t x) { return (x + step - 1) / step * step; };
  const Interval& aimed = aim_.of(static_cast<Quantity>(axis));
  const Interval wanted = Interval{up(std::max({range.min, min, aimed.min})),
                                   std::min(range.max, aimed.max) / step * step};
  if (aim_.constrains(static_cast<Quantity>(axis)) && !wanted.empty()) {
    const int64_t most = std::clamp(max / step * step, wanted.min, wanted.max);
    return fixed(axis, between_ends(wanted.min, most) / step * step);
  }
  const int64_t asked = std::max(range.min, min), top = range.max / step * step;
  const int64_t least = asked <= range.max ? std::min(up(asked), top) : up(asked);
  const int64_t most = std::max(least, std::min(range.max, max) / step * step);
  int64_t value = least;
  for (int tries = 0; tries < tries_for_distinct; ++tries) {
    value = edgy(least, most, claims_.tiles(axis)) / step * step;
    if (!distinct_ || std::find(used_.begin(), used_.end(), value) == used_.end()) break;
  }
  return fixed(axis, value);
}

}  // namespace attnfuzz
