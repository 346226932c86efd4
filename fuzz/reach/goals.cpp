#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fuzz/claims.h"
#include "fuzz/reach/goal.h"

namespace attnfuzz {
namespace {

constexpr int64_t any_number = std::numeric_limits<int64_t>::max();
/// Tiles of kernels in use, for targets that do not tell theirs.
const std::vector<int64_t> usual_tiles{32, 64, 128, 256};
constexpr int64_t usual_pages[] = {16, 32, 64, 128, 256};
constexpr int64_t usual_dims[] = {64, 80, 96, 128, 192, 256, 512, 576};
constexpr int64_t usual_groups[] = {2, 4, 8, 16, 32, 64, 128};

Axis axis_of(Quantity quantity) {
  return static_cast<Axis>(quantity);
}

class Goals {
 public:
  explicit Goals(const Claims& claims) : claims_(claims) {
    for (size_t k = 0; k < names_of<CacheKind>.size(); ++k)
      if (declared("cache:", names_of<CacheKind>[k])) caches_.push_back(static_cast<CacheKind>(k));
    const SizeRange& steps = claims.range(Axis::steps);
    if (caches_.empty() || steps.max == 0) {
      modes_ = {{"", {}}};
    } else {
      if (steps.min == 0) modes_.push_back({"", {{Quantity::steps, {0, 0}}}});
      modes_.push_back({"cached ", {{Quantity::steps, {1, any_number}}}});
    }
  }

  std::vector<Goal> take() {
    for (const Mode& mode : modes_) {
      for (const Quantity length : {Quantity::q_len, Quantity::kv_len}) add_tiles(mode, length);
      add_both_lengths(mode);
      add_masks(mode);
    }
    for (const Quantity size : {Quantity::head_dim, Quantity::head_dim_v})
      if (is_own(size)) add_dim_tiles(size);
    add_dims_and_tiles();
    add_past();
    add_pages();
    add_capacities();
    add_rings();
    add_limits();
    add_heads();
    for (Goal& goal : packed_goals(claims_, tiles_of(Quantity::kv_len))) add(std::move(goal));
    add_pairs();
    return std::move(goals_);
  }

 private:
  /// Cases with a cache and those without, where a target has both.
  struct Mode {
    std::string prefix;
    std::vector<Condition> conditions;
    bool cached() const { return !prefix.empty(); }
  };

  bool declared(std::string_view prefix, std::string_view word) const {
    return claims_.declared(word_index(std::string(prefix) + std::string(word)));
  }

  /// Whether a size isn't claimed to be equal to one before it, whose goals are then its own.
  bool is_own(Quantity size) const { return claims_.same_as(axis_of(size)) == axis_of(size); }

  /// The first and last number of the interval that the claims let a size have.
  Interval claimed(Quantity quantity, Interval in) const {
    if (static_cast<size_t>(quantity) >= axis_count) return in;
    const SizeRange& range = claims_.range(claims_.same_as(axis_of(quantity)));
    const int64_t step = range.multiple_of;
    const Interval both = in.meet({range.min, range.max});
    if (both.empty()) return both;
    return {(both.min + step - 1) / step * step, both.max / step * step};
  }

  /// Leaves out what the claims forbid, and what says the same as another.
  void add(Goal goal) {
    for (const auto* list : {&goal.conditions, &goal.way})
      for (const Condition& each : *list)
        if (claimed(each.quantity, each.in).empty()) return;
    if (names_.insert(goal.name).second) goals_.push_back(std::move(goal));
  }

  std::vector<Condition> with(const Mode& mode, std::vector<Condition> more) const {
    more.insert(more.end(), mode.conditions.begin(), mode.conditions.end());
    return more;
  }

  const std::vector<int64_t>& tiles_of(Quantity length) const {
    const std::vector<int64_t>& own = claims_.tiles(axis_of(length));
    return own.empty() ? usual_tiles : own;
  }

  /// A length alone is cheapest beside a short other one.
  FeatureSet apart(const Mode& mode, Quantity length) const {
    FeatureSet words;
    const size_t cross = word_index("cross"), longer = word_index("longer_q");
    if (mode.cached() || !claims_.declared(cross)) return words;
    if (length == Quantity::kv_len) words.set(cross);
    if (length == Quantity::q_len && claims_.declared(longer)) words.set(cross).set(longer);
    return words;
  }

  void add_length(const Mode& mode, Quantity length, const std::string& what, Interval in) {
    add({mode.prefix + std::string(name(length)) + ": " + what,
         {},
         with(mode, {{length, in}}),
         {},
         apart(mode, length)});
  }

  void add_tiles(const Mode& mode, Quantity length) {
    const bool own = !claims_.tiles(axis_of(length)).empty();
    const int64_t most = claims_.range(claims_.same_as(axis_of(length))).max;
    for (const int64_t t : tiles_of(length)) {
      const auto put = [&](std::string_view what, Interval in) {
        add_length(mode, length, fmt::format("{} tile of {}{}", what, t, own ? "" : " (usual)"),
                   in);
      };
      if (own) {
        put("one below the", {t - 1, t - 1});
        put("exactly one", {t, t});
        put("one above the", {t + 1, t + 1});
        put("exactly two, a", {2 * t, 2 * t});
      }
      put("part of the second", {t + 1, 2 * t - 1});
      put("part of the third", {2 * t + 1, 3 * t - 1});
      if (!own) continue;
      put("beyond the fourth", {4 * t + 1, any_number});
      if (most % t != 0 && most > 3 * t) put("part of the last", {most / t * t + 1, most});
      if (most % t == 0 && most > 3 * t) put("part of the last", {most - t + 1, most - 1});
    }
  }

  /// Tiles of queries and of keys crossed by one case: where masks skip tiles.
  void add_both_lengths(const Mode& mode) {
    for (const int64_t q : tiles_of(Quantity::q_len))
      for (const int64_t kv : tiles_of(Quantity::kv_len)) {
        const bool own =
            !claims_.tiles(Axis::q_len).empty() || !claims_.tiles(Axis::kv_len).empty();
        if (!own && q != kv) continue;
        add({fmt::format("{}q_len and kv_len: second tiles of {} and {}", mode.prefix, q, kv),
             {},
             with(mode, {{Quantity::q_len, {q + 1, any_number}},
                         {Quantity::kv_len, {kv + 1, any_number}}}),
             {{Quantity::q_len, {q + 1, 2 * q - 1}},
              {Quantity::kv_len, {kv + 1, std::max(2 * kv - 1, q + 1)}}}});
      }
  }

  /// A window's, a chunk's or a block's edge inside a tile, and beyond one.
  void add_masks(const Mode& mode) {
    const struct {
      std::string_view rule;
      Quantity param;
    } table[] = {{"window", Quantity::window_left},   {"chunk", Quantity::chunk_size},
                 {"block_sparse", Quantity::q_block}, {"block_sparse", Quantity::kv_block},
                 {"dilated", Quantity::dilation},     {"relative_bias", Quantity::max_distance},
                 {"indices", Quantity::selected},     {"indices", Quantity::select_block}};
    for (const auto& [rule, param] : table) {
      const size_t word = word_index(fmt::format("rule:{}", rule));
      if (!claims_.declared(word)) continue;
      const SizeRange* limit = claims_.param(name(param));
      for (const int64_t t : tiles_of(Quantity::kv_len)) {
        const auto put = [&, word = word, param = param](std::string_view what, Interval size,
                                                         Interval kv_len) {
          const Interval in = size.meet(
              {limit != nullptr ? limit->min : 0, limit != nullptr ? limit->max : any_number});
          if (in.empty()) return;
          Goal goal{fmt::format("{}{}: {} {}", mode.prefix, name(param), what, t),
                    FeatureSet().set(word), with(mode, {{param, in}, {Quantity::kv_len, kv_len}})};
          goal.way = {{Quantity::kv_len, {kv_len.min, kv_len.min + t}}};
          add(std::move(goal));
        };
        put("shorter than a tile, in the second tile of", {1, t - 1}, {t + 1, any_number});
        put("longer than a tile, in the third tile of", {t, 2 * t - 1}, {2 * t + 1, any_number});
      }
    }
  }

  void add_dim_tiles(Quantity size) {
    for (const int64_t t : claims_.tiles(axis_of(size))) {
      add({fmt::format("{}: one below a tile of {}", name(size), t), {}, {{size, {t - 1, t - 1}}}});
      add({fmt::format("{}: exactly a tile of {}", name(size), t), {}, {{size, {t, t}}}});
      add({fmt::format("{}: more than a tile of {}", name(size), t),
           {},
           {{size, {t + 1, any_number}}}});
    }
    for (const int64_t dim : usual_dims)
      add({fmt::format("{} {}", name(size), dim), {}, {{size, {dim, dim}}}});
  }

  /// Each head size in use beyond the first tile of keys: kernels have loops of their own for it.
  void add_dims_and_tiles() {
    const std::vector<int64_t>& tiles = tiles_of(Quantity::kv_len);
    const int64_t t = *std::min_element(tiles.begin(), tiles.end());
    const auto put = [&](const Mode& mode, const std::string& what, Quantity length,
                         FeatureSet words) {
      for (const int64_t dim : usual_dims) {
        Goal goal{
            fmt::format("{}head_dim {}: {} in the second tile of {}", mode.prefix, dim, what, t),
            words, with(mode, {{Quantity::head_dim, {dim, dim}}, {length, {t + 1, any_number}}})};
        goal.way = {{length, {t + 1, 2 * t - 1}}};
        add(std::move(goal));
      }
    };
    for (const Mode& mode : modes_) {
      put(mode, "kv_len", Quantity::kv_len, {});
      for (const PastOf& each : mode.cached() ? pasts() : std::vector<PastOf>{})
        put(mode, fmt::format("{}: past_len", name(each.op)), each.quantity, word_of(each.op));
    }
  }

  static FeatureSet word_of(StepOp op) {
    return FeatureSet().set(word_index(fmt::format("step:{}", name(op))));
  }

  /// The steps behind others that are claimed.
  std::vector<PastOf> pasts() const {
    std::vector<PastOf> all;
    for (const PastOf& each : steps_with_past)
      if (declared("step:", name(each.op)) && claims_.range(Axis::steps).max >= 2)
        all.push_back(each);
    return all;
  }

  /// New tokens behind a history that fills tiles.
  void add_past() {
    if (caches_.empty()) return;
    const int64_t most = claims_.range(Axis::kv_len).max;
    for (const int64_t t : tiles_of(Quantity::kv_len)) {
      const auto put = [&](std::string_view what, Interval past) {
        if (past.min + 1 > most) return;
        for (const PastOf& each : pasts())
          add({fmt::format("{}: past_len {} of {}", name(each.op), what, t),
               word_of(each.op),
               {{each.quantity, past}}});
      };
      put("one token below a tile", {t - 1, t - 1});
      put("exactly a tile", {t, t});
      put("in the second tile", {t + 1, 2 * t - 1});
      put("in the third tile", {2 * t + 1, 3 * t - 1});
    }
  }

  void add_pages() {
    if (std::find(caches_.begin(), caches_.end(), CacheKind::paged) == caches_.end()) return;
    const SizeRange& range = claims_.range(Axis::page_size);
    std::set<int64_t> sizes{std::max<int64_t>(1, range.min), range.max};
    sizes.insert(std::begin(usual_pages), std::end(usual_pages));
    const FeatureSet paged = FeatureSet().set(word_index("cache:paged"));
    for (const int64_t p : sizes) {
      const Condition page{Quantity::page_size, {p, p}};
      const auto put = [&](std::string_view what, Interval kv_len, int64_t near) {
        Goal goal{
            fmt::format("pages of {}: {}", p, what), paged, {page, {Quantity::kv_len, kv_len}}};
        goal.way = {{Quantity::kv_len, {kv_len.min, std::max(kv_len.min, near)}}};
        add(std::move(goal));
      };
      put("a full one", {p, p}, p);
      if (p > 1) put("part of the second", {p + 1, 2 * p - 1}, 2 * p - 1);
      put("the third", {2 * p + 1, 3 * p}, 3 * p);
      put("more than eight", {8 * p + 1, any_number}, 9 * p);
      for (const int64_t t : tiles_of(Quantity::kv_len))
        put(fmt::format("the second tile of {}", t), {t + 1, any_number}, 2 * t);
    }
  }

  void add_capacities() {
    for (const CacheKind kind : {CacheKind::fixed, CacheKind::paged}) {
      if (std::find(caches_.begin(), caches_.end(), kind) == caches_.end()) continue;
      Goal goal{fmt::format("{} cache: filled to its capacity", name(kind)),
                FeatureSet().set(word_index(fmt::format("cache:{}", name(kind)))),
                {{Quantity::free_slots, {0, 0}}}};
      const int64_t c = small_capacity();
      goal.way = {{Quantity::capacity, {c, c}}, {Quantity::kv_len, {c, c}}};
      add(std::move(goal));
    }
  }

  /// A small capacity within the claims, not the least: that may be a special case.
  int64_t small_capacity() const {
    const SizeRange& range = claims_.range(Axis::capacity);
    const int64_t least = std::max({range.min, claims_.range(Axis::kv_len).min, int64_t{4}});
    return std::min(range.max,
                    (least + range.multiple_of - 1) / range.multiple_of * range.multiple_of);
  }

  void add_rings() {
    for (const CacheKind kind : caches_) {
      if (!Cache{.kind = kind}.forgets()) continue;
      const FeatureSet words = FeatureSet().set(word_index(fmt::format("cache:{}", name(kind))));
      const int64_t c = small_capacity();
      const auto put = [&](std::string_view what, Condition condition, std::vector<Condition> way) {
        way.push_back({Quantity::capacity, {c, c}});
        add({fmt::format("{} cache: {}", name(kind), what), words, {condition}, std::move(way)});
      };
      put("wraps once", {Quantity::wraps, {1, 1}}, {{Quantity::kv_len, {c + 1, 2 * c}}});
      put("wraps twice", {Quantity::wraps, {2, any_number}},
          {{Quantity::kv_len, {2 * c + 1, 3 * c}}});
      put("a step longer than its capacity", {Quantity::past_ring, {1, any_number}},
          {{Quantity::q_len, {c + 1, 2 * c}}});
      for (const int64_t t : tiles_of(Quantity::kv_len)) {
        Goal goal{fmt::format("{} cache: wraps, its capacity above a tile of {}", name(kind), t),
                  words,
                  {{Quantity::wraps, {1, any_number}}, {Quantity::capacity, {t + 1, any_number}}}};
        goal.way = {{Quantity::capacity, {t + 1, 2 * t}}, {Quantity::kv_len, {2 * t + 1, 3 * t}}};
        add(std::move(goal));
      }
    }
  }

  /// The claims' own smallest and largest sizes.
  void add_limits() {
    for (size_t k = 0; k < axis_count; ++k) {
      const auto size = static_cast<Quantity>(k);
      const SizeRange& range = claims_.range(claims_.same_as(static_cast<Axis>(k)));
      if (range.min >= range.max) continue;
      const bool length = size == Quantity::q_len || size == Quantity::kv_len;
      if (!length && !is_own(size)) continue;
      // 0 is the feature "empty", and 0 steps are a case without a cache.
      const int64_t least =
          std::max(claimed(size, {}).min,
                   length || size == Quantity::batch || size == Quantity::steps ? int64_t{1} : 0);
      const int64_t most = claimed(size, {}).max;
      for (const auto& [what, value] : {std::pair{"smallest", least}, std::pair{"largest", most}}) {
        if (!length) {
          add({fmt::format("{}: the {} claimed, {}", name(size), what, value),
               of_size(size),
               {{size, {value, value}}}});
          continue;
        }
        for (const Mode& mode : modes_)
          add_length(mode, size, fmt::format("the {} claimed, {}", what, value), {value, value});
      }
    }
  }

  /// What a size is a size of.
  static FeatureSet of_size(Quantity size) {
    FeatureSet words;
    if (size == Quantity::page_size) words.set(word_index("cache:paged"));
    return words;
  }

  void add_heads() {
    const SizeRange &heads = claims_.range(Axis::num_heads),
                    &kv = claims_.range(Axis::num_kv_heads);
    for (const std::string_view word : {"gqa", "mqa"}) {
      if (!claims_.declared(word_index(word))) continue;
      const int64_t kv_heads = word == "mqa" ? 1 : std::max<int64_t>(2, kv.min);
      for (const int64_t group : usual_groups) {
        if (group * kv_heads > heads.max || group * kv.max < heads.min) continue;
        add({fmt::format("{}: {} query heads for each KV head", word, group),
             FeatureSet().set(word_index(word)),
             {{Quantity::group, {group, group}}}});
      }
    }
  }

  void add_pairs();

  const Claims& claims_;
  std::vector<CacheKind> caches_;
  std::vector<Mode> modes_;
  std::set<std::string> names_;
  std::vector<Goal> goals_;
};

}  // namespace

bool is_silent(std::string_view word) {
  static constexpr std::string_view all[] = {"data:normal",      "nonfinite:none",
                                             "head_map:grouped", "bias_order:after_softcap",
                                             "kind:softmax",     "positions:kept"};
  return std::find(std::begin(all), std::end(all), word) != std::end(all);
}

namespace {

void Goals::add_pairs() {
  const std::vector<std::string>& words = feature_words();
  std::vector<size_t> used;
  for (size_t k = 0; k < words.size(); ++k)
    if (claims_.declared(k) && !is_silent(words[k])) used.push_back(k);
  const auto draw = seeded_draw(0, 0);
  constexpr int tries = 4;
  for (size_t a = 0; a < used.size(); ++a)
    for (size_t b = a + 1; b < used.size(); ++b) {
      if (claims_.same_choice(used[a], used[b])) continue;
      Goal goal{fmt::format("{} with {}", words[used[a]], words[used[b]]),
                FeatureSet().set(used[a]).set(used[b]),
                {}};
      goal.is_pair = true;
      const Aim aim = aim_at(goal, 1);
      for (int k = 0; k < tries; ++k)
        if ((goal.words & ~claims_.draw_features(*draw, 0, aim)).none()) {
          goals_.push_back(std::move(goal));
          break;
        }
    }
}

}  // namespace

std::vector<Goal> goals_of(const Claims& claims) {
  return Goals(claims).take();
}

}  // namespace attnfuzz
