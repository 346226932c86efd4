// How what a cache holds is read: rope's positions, scales, shared pages, slots.
#include <algorithm>
#include <initializer_list>

#include "fuzz/faults/histories.h"
#include "fuzz/faults/plan_edits.h"
#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

int64_t twice(const Place& at) {
  return at.born + at.position;
}
int64_t fresh_not(const Place& at) {
  return at.fresh ? 0 : at.position;
}
int64_t as_born(const Place& at) {
  return at.born;
}
int64_t first_row_alone(const Place& at) {
  return at.row == 0 ? at.position : at.born;
}
int64_t last_move_alone(const Place& at) {
  return at.born + at.last_move;
}
int64_t from_zero(const Place& at) {
  return at.born - at.first;
}
int64_t none(const Place&) {
  return 0;
}
int64_t query_from_zero(int64_t position, int64_t first) {
  return position - first;
}
int64_t query_next(int64_t position, int64_t) {
  return position + 1;
}
int64_t query_none(int64_t, int64_t) {
  return 0;
}

int64_t last_page_first(int64_t n, int64_t count, int64_t page) {
  return ((count + page - 1) / page - 1 - n / page) * page + n % page;
}
int64_t slot_of_ring(const Place& at, int64_t, int64_t capacity) {
  return at.fresh ? at.position : at.position % capacity;
}
/// The part of the ring that was written after its turn comes with the positions of the one before.
int64_t order_in_ring(const Place& at, int64_t past, int64_t capacity) {
  const int64_t turn = past / capacity * capacity;
  if (at.fresh || at.position < turn) return at.position;
  return at.position - turn + std::max<int64_t>(0, past - capacity);
}

int64_t of_first_head(int64_t, bool) {
  return 0;
}
int64_t unscaled(int64_t, bool) {
  return -1;
}
int64_t unscaled_in_prefill(int64_t g, bool prefill) {
  return prefill ? -1 : g;
}

constexpr PlanEdit rotated_twice{.key_angle = twice};
constexpr PlanEdit new_keys_not_rotated{.key_angle = fresh_not};
constexpr PlanEdit not_shifted{.key_angle = as_born};
constexpr PlanEdit first_row_shifted{.key_angle = first_row_alone};
constexpr PlanEdit last_shift_alone{.key_angle = last_move_alone};
constexpr PlanEdit offset_zero{.key_angle = from_zero, .query_angle = query_from_zero};
constexpr PlanEdit query_offset{.query_angle = query_next};
constexpr PlanEdit keys_not_rotated{.key_angle = none};
constexpr PlanEdit queries_not_rotated{.query_angle = query_none};
constexpr PlanEdit scale_of_first_head{.scale_head = of_first_head};
constexpr PlanEdit scales_ignored{.scale_head = unscaled};
constexpr PlanEdit scales_ignored_in_prefill{.scale_head = unscaled_in_prefill};
constexpr PlanEdit positions_of_slots{.key_position = slot_of_ring};
constexpr PlanEdit ring_not_unrolled{.key_position = order_in_ring};
constexpr PlanEdit queries_of_first_row{.queries_of_first_row = true};
constexpr SlotFault tail_values_lost{.tail_values_lost = true};
constexpr SlotFault values_stay_in_row{.values_stay_in_row = true};
constexpr SlotFault values_stay_in_slot{.values_stay_in_slot = true};
constexpr SlotFault table_reversed{.slot = last_page_first};

bool has_step(const Case& c, StepOp op) {
  for (const Step& step : c.steps)
    if (step.op == op) return true;
  return false;
}

// Where a fault applies: the case as it is, or none.

Rewritten rotated(const Case& c) {
  return c.cached() && c.problem.rope != Rope::none ? Rewritten(c) : std::nullopt;
}
/// And where an eviction has moved keys.
Rewritten moved_keys(const Case& c) {
  const bool moves = c.cached() && c.cache->positions == Positions::shifted;
  return moves && has_step(c, StepOp::evict) ? rotated(c) : std::nullopt;
}
Rewritten scaled(const Case& c) {
  return c.cached() && c.cache->scales == Scales::head ? Rewritten(c) : std::nullopt;
}
Rewritten shared(const Case& c) {
  const bool copies = has_step(c, StepOp::fork) || has_step(c, StepOp::reorder);
  return c.cached() && c.cache->page_size > 0 && copies ? Rewritten(c) : std::nullopt;
}
/// Where a step of the kind goes on.
Rewritten after(const Case& c, std::initializer_list<StepOp> ops) {
  const bool any = std::any_of(ops.begin(), ops.end(), [&](StepOp op) { return has_step(c, op); });
  return c.cached() && any && !c.cache->forgets() ? Rewritten(c) : std::nullopt;
}
Rewritten after_copies(const Case& c) {
  return after(c, {StepOp::reorder, StepOp::fork});
}
Rewritten after_evictions(const Case& c) {
  return after(c, {StepOp::evict});
}
Rewritten of_pages(const Case& c) {
  return c.cached() && c.cache->page_size > 0 ? Rewritten(c) : std::nullopt;
}
Rewritten of_ring(const Case& c) {
  return c.cached() && c.cache->kind == CacheKind::ring ? Rewritten(c) : std::nullopt;
}
Rewritten of_buffer(const Case& c) {
  const bool buffer = c.cached() && c.cache->page_size == 0 && !c.cache->forgets();
  return buffer ? Rewritten(c) : std::nullopt;
}
Rewritten of_fixed(const Case& c) {
  const bool causal = c.problem.mask.find("causal") != nullptr;
  return c.cached() && c.cache->kind == CacheKind::fixed && causal ? Rewritten(c) : std::nullopt;
}
Rewritten of_rows(const Case& c) {
  return c.cached() && c.problem.batch > 1 ? Rewritten(c) : std::nullopt;
}

Rewritten other_style(const Case& original) {
  Case c = original;
  if (c.problem.rope == Rope::none) return {};
  c.problem.rope = c.problem.rope == Rope::half ? Rope::interleaved : Rope::half;
  return c;
}
Rewritten no_rope(const Case& original) {
  Case c = original;
  if (c.problem.rope == Rope::none) return {};
  c.problem.rope = Rope::none;
  return c;
}
Rewritten other_base(const Case& original) {
  Case c = original;
  if (c.problem.rope == Rope::none || c.problem.rope_base == Problem().rope_base) return {};
  c.problem.rope_base = Problem().rope_base;
  return c;
}
/// The whole head, or the other end of it.
Rewritten whole_head(const Case& original) {
  Case c = original;
  if (c.problem.rope_dim == 0 || c.problem.head_dim % 2 != 0) return {};
  c.problem.rope_dim = 0;
  c.problem.rope_part = RopePart::first;
  return c;
}
Rewritten other_part(const Case& original) {
  Case c = original;
  if (c.problem.rope_dim == 0) return {};
  c.problem.rope_part = c.problem.rope_part == RopePart::first ? RopePart::last : RopePart::first;
  return c;
}
Rewritten not_quantised(const Case& original) {
  Case c = original;
  if (!c.cached() || c.cache->quant == Quant::none) return {};
  c.cache->quant = Quant::none;
  return c;
}

constexpr Fault lowered(std::string_view name, std::string_view words,
                        Rewritten (*applies)(const Case&), Plan (*plan)(const Case&)) {
  return {.name = name, .words = words, .rewrite = applies, .plan = plan};
}

constexpr Fault table[] = {
    lowered("rope-keys-not-shifted", "keys keep the angles of where they stood before an eviction",
            moved_keys, edited<not_shifted>),
    lowered("rope-first-row-shifted",
            "after an eviction only the first row's keys are rotated to where they stand now",
            moved_keys, edited<first_row_shifted>),
    lowered("rope-last-shift", "of several evictions only the last one's shift reaches the keys",
            moved_keys, edited<last_shift_alone>),
    lowered("rope-twice", "keys are rotated when they are cached and again when they are read",
            rotated, edited<rotated_twice>),
    lowered("rope-new-keys", "a step's own keys are read before they are rotated", rotated,
            edited<new_keys_not_rotated>),
    lowered("rope-offset-zero",
            "each step's queries and keys are rotated as if the cache were empty", rotated,
            edited<offset_zero>),
    lowered("rope-query-offset", "queries are rotated by a position too far", rotated,
            edited<query_offset>),
    lowered("rope-keys-not-turned", "keys are not rotated", rotated, edited<keys_not_rotated>),
    lowered("rope-queries-not-turned", "queries are not rotated", rotated,
            edited<queries_not_rotated>),
    {"rope-style", "rope pairs other elements (halves for neighbours, or neighbours for halves)",
     other_style},
    {"rope-whole-head", "rope turns all elements of the head, not a part of them", whole_head},
    {"rope-other-part", "rope turns the other end of the head", other_part},
    {"rope-base", "rope has the usual base of 10000", other_base},
    {"rope-ignored", "rope is not applied", no_rope},
    lowered("scale-of-first-head", "all KV heads are read with the first one's scale", scaled,
            edited<scale_of_first_head>),
    lowered("scales-ignored-in-prefill", "a prefill reads what is quantised without its scales",
            scaled, edited<scales_ignored_in_prefill>),
    lowered("scales-ignored", "what is quantised is read without its scales", scaled,
            edited<scales_ignored>),
    {"quant-ignored", "keys and values are not quantised", not_quantised},
    lowered("fork-shares-page",
            "rows that a fork or reorder made alike all write into the page that they share",
            shared, tail_shared),
    lowered("fork-page-without-values",
            "the copy of a page that a fork or reorder shared lacks the values", shared,
            by_slots<tail_values_lost>),
    lowered("copied-keys-alone",
            "rows are reordered or forked by their keys, and keep their values", after_copies,
            by_slots<values_stay_in_row>),
    lowered("evict-moves-keys-alone",
            "an eviction moves keys up, and leaves values where they were", after_evictions,
            by_slots<values_stay_in_slot>),
    lowered("cache-table-reversed", "the block table is read from its last page", of_pages,
            by_slots<table_reversed>),
    lowered("ring-positions-of-slots", "cached keys stand at their slots of the ring", of_ring,
            edited<positions_of_slots>),
    lowered("ring-not-turned",
            "the ring is read from its first slot, as if that held the oldest token", of_ring,
            edited<ring_not_unrolled>),
    lowered("ring-stuck", "a full ring keeps every new token in its last slot", of_ring,
            ring_stuck),
    lowered("ring-rolls-early",
            "a token that just fills the ring pushes the oldest out and leaves an empty slot "
            "before it",
            of_ring, ring_rolls_early),
    lowered("cache-slots-ahead",
            "queries after the first step stand q_len positions too far on, and see as many slots "
            "that hold nothing yet",
            of_fixed, slots_ahead),
    lowered("cache-growing-loses-last",
            "the buffer doubles when it is full, and the last token of each row is not copied",
            of_buffer, growing_loses_last),
    lowered("cache-offset-of-first-row", "all rows' queries stand where the first row's do",
            of_rows, edited<queries_of_first_row>),
};

}  // namespace

std::span<const Fault> cached_reads() {
  return table;
}

}  // namespace attnfuzz::fault
