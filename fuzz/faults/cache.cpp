// What a cache holds, and where a step's queries stand in it.
#include <algorithm>
#include <limits>
#include <numeric>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

void past_ignored(RowContext& context) {
  context.q_pos = context.i;
}
/// An offset that grows by num_heads with each step: a tensor's head axis taken for its token axis.
void past_in_heads(RowContext& context) {
  context.q_pos = context.i + context.step * context.problem.num_heads;
}
/// One position for all of a step's queries.
void past_stale(RowContext& context) {
  context.q_pos -= context.i;
}

void apply_newest_missing(const RuleUse&, const RowContext& context, const MaskRow& row) {
  if (!context.key_pos.empty()) row.visible[context.key_pos.size() - 1] = 0;
}
void apply_oldest_missing(const RuleUse&, const RowContext& context, const MaskRow& row) {
  if (!context.key_pos.empty()) row.visible[0] = 0;
}
/// Only the step's own tokens, as if nothing had been cached.
void apply_past_missing(const RuleUse&, const RowContext& context, const MaskRow& row) {
  const int64_t past = context.q_pos - context.i;
  for (size_t j = 0; j < row.visible.size(); ++j) {
    row.visible[j] &= static_cast<uint8_t>(context.key_pos[j] >= past);
  }
}

/// A ring into which the step's tokens have been written already.
void apply_overwritten(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  if (context.key_pos.empty()) return;
  const int64_t oldest = context.key_pos.back() - use.integer(0) + 1;
  for (size_t j = 0; j < row.visible.size(); ++j) {
    row.visible[j] &= static_cast<uint8_t>(context.key_pos[j] >= oldest);
  }
}
/// The window of the step's first query.
void apply_first_window(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const int64_t oldest = context.q_pos - context.i - use.integer(0) + 1;
  for (size_t j = 0; j < row.visible.size(); ++j) {
    row.visible[j] &= static_cast<uint8_t>(context.key_pos[j] >= oldest);
  }
}

/// All that the ring holds when the step begins, for all of its queries.
void apply_step_window(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const int64_t oldest = context.q_pos - context.i - use.integer(0);
  for (size_t j = 0; j < row.visible.size(); ++j) {
    row.visible[j] &= static_cast<uint8_t>(context.key_pos[j] >= oldest);
  }
}
/// Whole pages alone, if there are any.
void apply_tail_page_missing(const RuleUse& use, const RowContext&, const MaskRow& row) {
  const auto page = static_cast<size_t>(use.integer(0)), size = row.visible.size();
  for (size_t j = size / page * page; j < size && size > page; ++j) row.visible[j] = 0;
}

/// The ring's window by another rule, beside the ring's own or in its place.
template <auto apply>
Rewritten ring_window(Case c, bool beside) {
  if (!c.cached() || c.cache->kind != CacheKind::ring) return {};
  c.problem.mask.rules.push_back({&made_rule<apply>, {c.cache->capacity}});
  if (!beside) c.cache = Cache{};
  return c;
}

/// An inner rule that keys cached before the step are not held to.
void apply_to_new(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  const std::vector<uint8_t> before(row.visible.begin(), row.visible.end());
  inner.spec->apply(inner, context, row);
  for (size_t j = 0; j < before.size(); ++j)
    if (context.key_pos[j] < context.q_pos - context.i) row.visible[j] = before[j];
}

Rewritten past_unlimited(Case c) {
  bool any = false;
  for (RuleUse& use : c.problem.mask.rules) {
    if (use.spec->name != "window" && use.spec->name != "chunk") continue;
    use = {&made_rule<apply_to_new, Kind::positional>, wrap_values(use)};
    any = true;
  }
  return any && c.cached() ? Rewritten(std::move(c)) : std::nullopt;
}

template <auto apply>
Rewritten hiding(Case c) {
  if (!c.cached()) return {};
  c.problem.mask.rules.push_back({&made_rule<apply>, {}});
  return c;
}

Rewritten tail_page_missing(Case c) {
  if (!c.cached() || c.cache->kind != CacheKind::paged) return {};
  c.problem.mask.rules.push_back({&made_rule<apply_tail_page_missing>, {c.cache->page_size}});
  return c;
}

/// After an eviction a key stands at its slot, and is compared with the query's position.
void apply_causal_by_slot(const RuleUse&, const RowContext& context, const MaskRow& row) {
  for (size_t j = 0; j < row.visible.size(); ++j) {
    row.visible[j] &= static_cast<uint8_t>(static_cast<int64_t>(j) <= context.q_pos);
  }
}

Rewritten causal_by_slot(Case c) {
  RuleUse* use = find(c, "causal");
  const bool evicts = std::any_of(c.steps.begin(), c.steps.end(),
                                  [](const Step& step) { return step.op == StepOp::evict; });
  if (use == nullptr || !evicts) return {};
  *use = {&made_rule<apply_causal_by_slot>, {}};
  return c;
}

/// The oldest tokens stay, beside the newest one.
void apply_oldest_kept(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  for (size_t j = 0; j < row.visible.size(); ++j) {
    const int64_t pos = context.key_pos[j];
    row.visible[j] &= static_cast<uint8_t>(pos < use.integer(0) - 1 || pos == context.q_pos);
  }
}

Rewritten oldest_kept(Case c) {
  if (!c.cached() || !c.cache->forgets()) return {};
  c.problem.mask.rules.push_back({&made_rule<apply_oldest_kept>, {c.cache->capacity}});
  c.cache = Cache{};
  return c;
}

/// The case with `change` made to each of its steps; none where that changes nothing.
template <class Make>
Rewritten each_step(Case c, Make change) {
  const std::vector<Step> before = c.steps;
  for (Step& step : c.steps) change(step);
  return c.steps == before ? Rewritten() : Rewritten(std::move(c));
}

Rewritten reorder_ignored(const Case& c) {
  return each_step(c, [](Step& step) { std::iota(step.rows.begin(), step.rows.end(), 0); });
}

/// Rows are copied one after another into the same buffer.
Rewritten reorder_in_place(const Case& c) {
  return each_step(c, [](Step& step) {
    for (size_t b = 0; b < step.rows.size(); ++b)
      if (const auto from = static_cast<size_t>(step.rows[b]); from < b)
        step.rows[b] = step.rows[from];
  });
}
Rewritten reorder_inverse(const Case& c) {
  return each_step(c, [](Step& step) {
    const std::vector<int64_t> rows = step.rows;
    for (size_t b = 0; b < rows.size(); ++b)
      step.rows[static_cast<size_t>(rows[b])] = static_cast<int64_t>(b);
  });
}
Rewritten reorder_first_row(const Case& c) {
  return each_step(c, [](Step& step) {
    if (!step.rows.empty()) std::fill(step.rows.begin(), step.rows.end(), step.rows.front());
  });
}

/// A crop that keeps everything.
void keep_all(Step& step) {
  step.op = StepOp::crop;
  step.length = std::numeric_limits<int64_t>::max();
}

Rewritten op_ignored(const Case& c, StepOp op) {
  return each_step(c, [op](Step& step) {
    if (step.op == op) keep_all(step);
  });
}

Rewritten cropped(const Case& c, int64_t by) {
  return each_step(c, [by](Step& step) {
    if (step.op == StepOp::crop) step.length = std::max<int64_t>(0, step.length + by);
  });
}
Rewritten crop_zero_ignored(const Case& c) {
  return each_step(c, [](Step& step) {
    if (step.op == StepOp::crop && step.length == 0) keep_all(step);
  });
}
Rewritten fork_swapped(const Case& c) {
  return each_step(c, [](Step& step) {
    if (step.op == StepOp::fork) std::swap(step.from, step.to);
  });
}
Rewritten evicted(const Case& c, int64_t start, int64_t count) {
  return each_step(c, [=](Step& step) {
    if (step.op != StepOp::evict) return;
    step.start += start;
    step.count += count;
    if (step.count <= 0) keep_all(step);
  });
}

Rewritten other_positions(Case c) {
  if (!c.cached()) return {};
  const bool kept = c.cache->positions == Positions::kept;
  c.cache->positions = kept ? Positions::shifted : Positions::kept;
  return c;
}

Rewritten lens_ignored(const Case& c) {
  return each_step(c, [](Step& step) { step.lens.clear(); });
}

Rewritten capacity(Case c, int64_t by) {
  if (!c.cached() || c.cache->kind != CacheKind::ring || c.cache->capacity + by < 1) return {};
  c.cache->capacity += by;
  return c;
}

Rewritten capacity_ignored(Case c) {
  if (!c.cached() || c.cache->kind != CacheKind::ring) return {};
  c.cache = Cache{};
  return c;
}

template <Change change>
Rewritten moved_queries(const Case& c) {
  return c.cached() ? changed_positions<change>(c) : std::nullopt;
}

constexpr Fault table[] = {
    {"cache-offset-in-heads",
     "a step's queries stand at num_heads · step (the head axis counted as the token axis)",
     [](const Case& c) { return moved_queries<past_in_heads>(c); }},
    {"cache-offset-zero", "a step's queries stand at the start of the cache, as if it were empty",
     [](const Case& c) { return moved_queries<past_ignored>(c); }},
    {"cache-offset-stale", "all queries of a step stand at the position of its first",
     [](const Case& c) { return moved_queries<past_stale>(c); }},
    {"cache-newest-missing", "the newest token is not seen by any query of its step",
     [](const Case& c) { return hiding<apply_newest_missing>(c); }},
    {"cache-oldest-missing", "the oldest cached token is not seen",
     [](const Case& c) { return hiding<apply_oldest_missing>(c); }},
    {"cache-past-ignored", "a step sees its own tokens alone, nothing of what was cached",
     [](const Case& c) { return hiding<apply_past_missing>(c); }},
    {"ring-capacity-plus-one", "the ring holds one token more",
     [](const Case& c) { return capacity(c, 1); }},
    {"ring-capacity-minus-one", "the ring holds one token less",
     [](const Case& c) { return capacity(c, -1); }},
    {"ring-overwritten", "a step's new tokens overwrite the ring before its queries have read it",
     [](const Case& c) { return ring_window<apply_overwritten>(c, true); }},
    {"ring-window-of-first", "all queries of a step have the window of its first",
     [](const Case& c) { return ring_window<apply_first_window>(c, false); }},
    {"ring-window-of-step", "all queries of a step see all that the ring held before it",
     [](const Case& c) { return ring_window<apply_step_window>(c, false); }},
    {"ring-capacity-ignored", "the ring forgets nothing",
     [](const Case& c) { return capacity_ignored(c); }},
    {"window-of-new-keys", "the window or chunk does not hide what was cached before the step",
     [](const Case& c) { return past_unlimited(c); }},
    {"cache-tail-page-missing", "the last page is left out while it is not full",
     [](const Case& c) { return tail_page_missing(c); }},
    {"evict-start-plus-one", "eviction begins one token late",
     [](const Case& c) { return evicted(c, 1, 0); }},
    {"evict-count-minus-one", "one token less is evicted",
     [](const Case& c) { return evicted(c, 0, -1); }},
    {"crop-plus-one", "one token more than asked for stays when the cache is cropped",
     [](const Case& c) { return cropped(c, 1); }},
    {"crop-minus-one", "one token less than asked for stays when the cache is cropped",
     [](const Case& c) { return cropped(c, -1); }},
    {"crop-zero-ignored", "the cache is not cropped where the new length is 0",
     [](const Case& c) { return crop_zero_ignored(c); }},
    {"reorder-in-place", "rows are reordered one after another in the same buffer",
     [](const Case& c) { return reorder_in_place(c); }},
    {"reorder-inverse", "the rows are reordered the other way round",
     [](const Case& c) { return reorder_inverse(c); }},
    {"reorder-first-row", "every row becomes the first of the new rows",
     [](const Case& c) { return reorder_first_row(c); }},
    {"fork-swapped", "the row is copied the other way round",
     [](const Case& c) { return fork_swapped(c); }},
    {"window-drops-newest", "a full window drops its newest tokens, not its oldest",
     [](const Case& c) { return oldest_kept(c); }},
    {"evict-causal-by-slot", "after an eviction the causal mask compares positions with slots",
     [](const Case& c) { return causal_by_slot(c); }},
    {"evict-positions", "the other convention holds for the positions behind an evicted token",
     [](const Case& c) { return other_positions(c); }},
    {"evict-ignored", "nothing is evicted",
     [](const Case& c) { return op_ignored(c, StepOp::evict); }},
    {"fork-ignored", "the row is not copied",
     [](const Case& c) { return op_ignored(c, StepOp::fork); }, Fault::Of::any},
    {"reorder-ignored", "the rows are not reordered",
     [](const Case& c) { return reorder_ignored(c); }, Fault::Of::any},
    {"crop-ignored", "the cache is not cropped",
     [](const Case& c) { return op_ignored(c, StepOp::crop); }},
    {"reset-ignored", "the cache is not emptied",
     [](const Case& c) { return op_ignored(c, StepOp::reset); }, Fault::Of::any},
    {"lens-ignored", "the padding at the end of a ragged step counts as tokens",
     [](const Case& c) { return lens_ignored(c); }, Fault::Of::any},
};

}  // namespace

std::span<const Fault> cache() {
  return table;
}

}  // namespace attnfuzz::fault
