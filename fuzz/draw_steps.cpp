#include "fuzz/draw_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace attnfuzz {
namespace {

constexpr int64_t usual_steps = 6;
constexpr int percent_many_steps = 4;    // of the cases: up to as many as are claimed,
constexpr int64_t many_steps = 64;       // or this, as each costs a call of the target
constexpr int percent_at_once = 60;      // of the steps toward an aim go all the way
constexpr int64_t most_kept = 8;         // by a sink_window
constexpr int percent_ragged_step = 70;  // of the steps of a ragged case
constexpr int percent_rollback = 60;     // of the crops

constexpr size_t none = static_cast<size_t>(-1);  // no word: what a case is anyhow

template <class E>
const auto& words_of(std::string_view prefix) {
  static const auto all = [&] {
    std::array<size_t, names_of<E>.size()> words{};
    for (size_t k = 0; k < words.size(); ++k)
      words[k] = names_of<E>[k] == "none"
                     ? none
                     : word_index(fmt::format("{}:{}", prefix, names_of<E>[k]));
    return words;
  }();
  return all;
}

/// Follows what the rows hold while steps are added.
class StepDrawer {
 public:
  StepDrawer(const Claims& claims, const FeatureSet& words, int64_t tokens, SizeDrawer& sizes,
             Draw& draw, Case& c)
      : claims_(claims),
        sizes_(sizes),
        draw_(draw),
        c_(c),
        totals_(static_cast<size_t>(c.problem.batch), 0) {
    static const size_t ragged = word_index("ragged"), ragged_left = word_index("ragged_left"),
                        empty = word_index("empty");
    ragged_ = words[ragged];
    ragged_left_ = words[ragged_left];
    empty_ = words[empty];
    limit_ = std::min(claims.range(Axis::kv_len).max, tokens);
    cross_ = c.cache->kind == CacheKind::cross;
    const bool bounded = c.cache->kind == CacheKind::fixed || c.cache->kind == CacheKind::paged;
    if (bounded) limit_ = std::min(limit_, c.cache->capacity);
    tokens_ = aimed_tokens(claims, sizes.aim());
    step_ = sizes.aim().of(Quantity::q_len);
    for (const PastOf& each : steps_with_past)
      if (sizes.aim().constrains(each.quantity)) past_ = each;
    if (past_) past_tokens_ = sizes.aim().of(past_->quantity);
    limit_ = std::clamp(limit_, std::min(tokens_.min, limit_), std::max(tokens_.max, tokens_.min));
  }

  void add_step() {
    const bool filling = !full_enough();
    std::vector<StepOp> possible;
    for (size_t k = 0; k < names_of<StepOp>.size(); ++k) {
      const auto op = static_cast<StepOp>(k);
      if (!claims_.declared(words_of<StepOp>("step")[k]) || !fits(op)) continue;
      if (filling && filled_ && op > StepOp::decode) continue;
      // New tokens are what shows an error: they come more often. What is aimed at comes first.
      int copies = op <= StepOp::decode ? 2 : 1;
      if (sizes_.aim().words[words_of<StepOp>("step")[k]]) copies += percent_at_once / 10;
      if (filling && op < StepOp::decode) copies += percent_at_once / 10;
      if (leads_to_past(op)) copies += percent_at_once;
      possible.insert(possible.end(), static_cast<size_t>(copies), op);
    }
    if (!possible.empty()) add(draw_.pick(std::span<const StepOp>(possible)));
  }

  /// Whether the rows have held, or have before the next step, as much as was aimed at.
  bool full_enough() const {
    if (most_tokens_ < tokens_.min || (needs_long_step() && !cross_)) return false;
    return !past_ || had_past_;
  }

  /// Asks for an answer after what the last steps did, if they asked for none.
  void finish() {
    if (!c_.steps.empty() && c_.steps.back().has_tokens()) return;
    for (const StepOp op : {StepOp::decode, StepOp::append, StepOp::prefill})
      if (claims_.declared(words_of<StepOp>("step")[static_cast<size_t>(op)]) && fits(op))
        return add(op);
  }

  int64_t most_tokens() const { return most_tokens_; }

 private:
  int64_t longest() const {
    return totals_.empty() ? 0 : *std::max_element(totals_.begin(), totals_.end());
  }
  int64_t room() const { return cross_ ? limit_ : limit_ - longest(); }
  bool needs_long_step() const {
    return sizes_.aim().constrains(Quantity::q_len) && !had_step_ &&
           step_.min <= claims_.range(Axis::q_len).max;
  }

  /// Whether the step is the one that was aimed at behind what the rows hold.
  bool leads_to_past(StepOp op) const {
    return past_ && op == past_->op && filled_ && past_tokens_.contains(longest());
  }

  /// How many new tokens lead to what is aimed at; empty: any number.
  Interval wanted_tokens(int64_t least, int64_t most) const {
    const int64_t held = longest();
    if (const Interval step = step_.meet({least, most}); needs_long_step() && !step.empty())
      return step;
    const auto to = [&](const Interval& total) {
      return Interval{total.min - held, total.max - held}.meet({least, most});
    };
    if (past_ && !had_past_ && held < past_tokens_.min) {
      const Interval all = to(past_tokens_);
      return all.empty() ? Interval{most, most} : all;
    }
    if (held >= tokens_.min) return {1, 0};
    const Interval all = to(tokens_);
    return all.empty() ? Interval{most, most} : all;  // a step alone is not enough
  }

  bool fits(StepOp op) const {
    const SizeRange& q_len = claims_.range(Axis::q_len);
    switch (op) {
      case StepOp::prefill:
        return longest() == 0 && room() >= std::max<int64_t>(q_len.min, 1);
      case StepOp::append:
        return filled_ && room() >= std::max<int64_t>(q_len.min, 1);
      case StepOp::decode:
        return filled_ && room() >= 1 && q_len.min <= 1;
      case StepOp::crop:
        return filled_ && longest() > 0 && !cross_ && !c_.problem.recurrent() &&
               (!c_.cache->forgets() || longest() <= c_.cache->capacity);
      case StepOp::evict:
        return filled_ && longest() > 0 && !cross_ && !c_.problem.recurrent() &&
               !c_.cache->forgets();
      case StepOp::fork:
        return filled_ && c_.problem.batch > 1;
      case StepOp::reorder:
      case StepOp::reset:
        return filled_;
    }
    return false;
  }

  void add(StepOp op) {
    Step step;
    step.op = op;
    if (step.has_tokens()) draw_tokens(step);
    if (op == StepOp::reorder) draw_rows(step);
    if (op == StepOp::crop) draw_length(step);
    if (op == StepOp::fork) {
      step.from = draw_.between(0, c_.problem.batch - 1);
      step.to = draw_.between(0, c_.problem.batch - 1);
    }
    if (op == StepOp::evict) {
      step.start = draw_.chance(50) ? 0 : draw_.between(0, longest() - 1);
      step.count = draw_.between(1, longest() - step.start);
    }
    if (step.has_tokens()) {
      had_past_ |= leads_to_past(op);
      had_step_ |= step_.contains(step.q_len);
    }
    follow(step, totals_);
    filled_ = op != StepOp::reset && (filled_ || op == StepOp::prefill);
    most_tokens_ = std::max(most_tokens_, longest());
    c_.steps.push_back(std::move(step));
  }

  void draw_tokens(Step& step) {
    const SizeRange& range = claims_.range(Axis::q_len);
    std::vector<int64_t> edges = claims_.tiles(Axis::q_len);
    if (c_.cache->page_size > 0) edges.push_back(c_.cache->page_size);
    if (c_.cache->capacity > 0) edges.push_back(c_.cache->capacity);
    step.q_len = 1;
    if (step.op != StepOp::decode) {
      const int64_t least = std::max<int64_t>(range.min, 1);
      const int64_t to_come =
          sizes_.aim().of(Quantity::steps).min - static_cast<int64_t>(c_.steps.size()) - 1;
      const int64_t left = room() - std::max<int64_t>(0, to_come) * least;
      const int64_t most = std::min(range.max, std::max(least, left));
      const Interval wanted = wanted_tokens(least, most);
      const bool at_once = !wanted.empty() && draw_.chance(percent_at_once);
      step.q_len =
          at_once ? sizes_.between_ends(wanted.min, wanted.max) : sizes_.edgy(least, most, edges);
      step.q_len = step.q_len / range.multiple_of * range.multiple_of;
      step.q_len = std::max(step.q_len, least);
      if (empty_ && range.min == 0 && draw_.chance(50)) step.q_len = 0;
    }
    if (cross_) step.kv_len = step.op == StepOp::prefill ? draw_cross_keys(edges) : 0;
    const bool ragged = (ragged_ || ragged_left_) && (!cross_ || step.op == StepOp::prefill);
    if (!ragged || step.op == StepOp::decode || !draw_.chance(percent_ragged_step)) return;
    step.side = ragged_left_ && (!ragged_ || draw_.chance(50)) ? Side::left : Side::right;
    for (size_t b = 0; b < totals_.size(); ++b)
      step.lens.push_back(draw_.between(cross_ ? 1 : 0, step.keys()));
    if (!step.lens.empty())  // some row is full, so q_len is a length of the step
      step.lens[static_cast<size_t>(draw_.between(0, c_.problem.batch - 1))] = step.keys();
    else
      step.side = Side::right;
  }

  int64_t draw_cross_keys(const std::vector<int64_t>& edges) {
    return tokens_.min > 1 ? sizes_.between_ends(tokens_.min, limit_)
                           : sizes_.edgy(1, limit_, edges);
  }

  /// Often a few of the newest tokens go, as when a draft's tokens are rejected (speculative
  /// decoding).
  void draw_length(Step& step) {
    const int64_t newest = c_.steps.back().has_tokens() ? c_.steps.back().q_len : longest();
    const int64_t least = draw_.chance(percent_rollback) ? longest() - newest : 0;
    step.length = draw_.between(std::clamp<int64_t>(least, 0, longest()), longest());
  }

  void draw_rows(Step& step) {
    for (size_t b = 0; b < totals_.size(); ++b)
      step.rows.push_back(draw_.between(0, c_.problem.batch - 1));
  }

  const Claims& claims_;
  SizeDrawer& sizes_;
  Draw& draw_;
  Case& c_;
  std::vector<int64_t> totals_;
  bool ragged_ = false, ragged_left_ = false, empty_ = false, filled_ = false, cross_ = false;
  Interval tokens_, step_, past_tokens_;  ///< aimed at: most tokens, a step's, those before one
  std::optional<PastOf> past_;            ///< before which one
  bool had_step_ = false, had_past_ = false;
  int64_t limit_ = 0, most_tokens_ = 0;
};

template <class E>
E drawn(std::string_view prefix, const FeatureSet& words, E otherwise) {
  for (size_t k = 0; k < names_of<E>.size(); ++k)
    if (words_of<E>(prefix)[k] != none && words[words_of<E>(prefix)[k]]) return static_cast<E>(k);
  return otherwise;
}

/// One of those that are declared; they come with another choice.
template <class E>
E any_declared(std::string_view prefix, const Claims& claims, Draw& draw) {
  std::vector<E> possible;
  for (size_t k = 0; k < names_of<E>.size(); ++k)
    if (claims.declared(words_of<E>(prefix)[k])) possible.push_back(static_cast<E>(k));
  return possible.empty() ? E{} : draw.pick(std::span<const E>(possible));
}

void draw_cache(const FeatureSet& words, int64_t tokens, int64_t least_tokens, SizeDrawer& sizes,
                Draw& draw, Case& c) {
  c.cache.emplace();
  c.cache->kind = drawn("cache", words, CacheKind::dynamic);
  if (c.cache->kind == CacheKind::paged)
    c.cache->page_size = sizes.axis(Axis::page_size, 1, tokens);
  c.cache->quant = drawn("quant", words, Quant::none);
  if (c.cache->quant != Quant::none) c.cache->scales = drawn("scales", words, Scales::token);
  if (c.cache->kind != CacheKind::dynamic && c.cache->kind != CacheKind::cross) {
    const int64_t least = c.cache->forgets() ? 1 : least_tokens;  // else nothing would fit in
    c.cache->capacity = sizes.axis(Axis::capacity, least, std::max(tokens, least));
  }
  if (c.cache->kind == CacheKind::sink_window) {
    c.cache->capacity = std::max<int64_t>(c.cache->capacity, 2);
    c.cache->keep = draw.between(1, std::min<int64_t>(c.cache->capacity - 1, most_kept));
  }
}

/// A convention that matters where tokens were evicted, and is plain elsewhere.
void draw_positions(const Claims& claims, Draw& draw, Case& c) {
  const bool evicts = std::any_of(c.steps.begin(), c.steps.end(),
                                  [](const Step& step) { return step.op == StepOp::evict; });
  const bool rounded = c.cache->quant != Quant::none && c.problem.rope != Rope::none;
  if (evicts && !rounded) c.cache->positions = any_declared<Positions>("positions", claims, draw);
}

}  // namespace

Interval aimed_tokens(const Claims& claims, const Aim& aim) {
  const SizeRange& range = claims.range(Axis::kv_len);
  const Interval& total = aim.of(Quantity::kv_len);
  const int64_t past = aim.least_past();
  const int64_t wanted = std::max({total.min, aim.of(Quantity::q_len).min, past > 0 ? past + 1 : 0,
                                   aim.of(Quantity::steps).min});
  const int64_t least = std::max(range.min, std::min(wanted, range.max));
  return {least, std::max(least, std::min(range.max, total.max))};
}

int64_t draw_steps(const Claims& claims, const FeatureSet& words, int64_t tokens, SizeDrawer& sizes,
                   Draw& draw, Case& c) {
  const int64_t least_tokens = std::max<int64_t>(1, claims.range(Axis::q_len).min) +
                               std::max<int64_t>(1, aimed_tokens(claims, sizes.aim()).min) - 1;
  draw_cache(words, tokens, least_tokens, sizes, draw, c);
  StepDrawer drawer(claims, words, tokens, sizes, draw, c);
  const SizeRange& range = claims.range(Axis::steps);
  const int64_t least = std::max<int64_t>(1, range.min);
  const Interval aimed = sizes.aim().of(Quantity::steps).meet({least, range.max});
  const int64_t usual = draw.chance(percent_many_steps) ? many_steps : usual_steps;
  const int64_t most = aimed.min > least ? aimed.max : std::min(range.max, usual);
  const int64_t count = aimed.min > least ? sizes.between_ends(aimed.min, most)
                                          : draw.between(least, std::max(least, most));
  const auto wants_more = [&] {
    const auto steps = static_cast<int64_t>(c.steps.size());
    return steps < count || (!drawer.full_enough() && steps + 1 < range.max);
  };
  while (wants_more()) {
    const size_t before = c.steps.size();
    drawer.add_step();
    if (c.steps.size() == before) break;  // nothing more fits
  }
  if (static_cast<int64_t>(c.steps.size()) < range.max) drawer.finish();
  draw_positions(claims, draw, c);
  return drawer.most_tokens();
}

}  // namespace attnfuzz
