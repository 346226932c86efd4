// How what a cache holds is read: rope's positions, scales, shared pages, slots. See CacheReading.
#include <algorithm>
#include <initializer_list>

#include "oracle/alternatives/rewrite.h"
#include "oracle/misreading.h"

namespace attnfuzz::alternative {
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
int64_t next_one(const Place& at) {
  return at.position + 1;
}
int64_t none(const Place&) {
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

int64_t last_slot_when_full(int64_t position, int64_t capacity) {
  return std::min(position, capacity - 1);
}

/// Where it stands.
int64_t in_place(const Place& at) {
  return at.position;
}
/// Queries stand as many positions farther on as there are: all of the step's keys are before them.
int64_t seen_ahead(const Place& at, int64_t, int64_t) {
  return at.position + at.last_move;
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

constexpr Misreading turned_twice{.cache = {.key_angle = twice}};
constexpr Misreading new_keys_not_turned{.cache = {.key_angle = fresh_not}};
constexpr Misreading not_shifted{.cache = {.key_angle = as_born}};
constexpr Misreading first_row_shifted{.cache = {.key_angle = first_row_alone}};
constexpr Misreading last_shift_alone{.cache = {.key_angle = last_move_alone}};
constexpr Misreading offset_zero{.cache = {.key_angle = from_zero, .query_angle = from_zero}};
constexpr Misreading query_offset{.cache = {.query_angle = next_one}};
constexpr Misreading keys_not_turned{.cache = {.key_angle = none}};
constexpr Misreading queries_not_turned{.cache = {.query_angle = none}};
constexpr Misreading scale_of_first_head{.cache = {.scale_head = of_first_head}};
constexpr Misreading scales_ignored{.cache = {.scale_head = unscaled}};
constexpr Misreading scales_ignored_in_prefill{.cache = {.scale_head = unscaled_in_prefill}};
constexpr Misreading tail_shared{.cache = {.tail_shared = true}};
constexpr Misreading tail_values_lost{.cache = {.tail_values_lost = true}};
constexpr Misreading values_stay_in_row{.cache = {.values_stay_in_row = true}};
constexpr Misreading values_stay_in_slot{.cache = {.values_stay_in_slot = true}};
constexpr Misreading table_reversed{.cache = {.slot = last_page_first}};
constexpr Misreading positions_of_slots{.cache = {.key_position = slot_of_ring}};
constexpr Misreading not_turned{.cache = {.key_position = order_in_ring}};
constexpr Misreading stuck{.cache = {.kept_in = last_slot_when_full}};
constexpr Misreading growing_loses_last{.cache = {.growing_loses_last = true}};
constexpr Misreading rolls_early{.cache = {.key_angle = as_born, .rolls_early = true}};
constexpr Misreading sees_ahead{
    .cache = {.key_angle = in_place, .key_position = seen_ahead, .slots_ahead = true}};
constexpr Misreading positions_of_first_row{.cache = {.positions_of_first_row = true}};

bool has_step(const Case& c, StepOp op) {
  for (const Step& step : c.steps)
    if (step.op == op) return true;
  return false;
}

/// Where rope is used over a cache.
Rewritten turned(Case c, const Misreading& how) {
  if (!c.cached() || c.problem.rope == Rope::none) return {};
  c.problem.misreading = &how;
  return c;
}
/// And where an eviction has moved keys.
Rewritten moved_keys(const Case& c, const Misreading& how) {
  const bool moves = c.cached() && c.cache->positions == Positions::shifted;
  return moves && has_step(c, StepOp::evict) ? turned(c, how) : std::nullopt;
}

Rewritten scaled(Case c, const Misreading& how) {
  if (!c.cached() || c.cache->scales != Scales::head) return {};
  c.problem.misreading = &how;
  return c;
}

Rewritten shared(Case c) {
  const bool copies = has_step(c, StepOp::fork) || has_step(c, StepOp::reorder);
  if (!c.cached() || c.cache->page_size == 0 || !copies) return {};
  c.problem.misreading = &tail_shared;
  return c;
}

/// Where a step of the kind goes on.
Rewritten after(Case c, const Misreading& how, std::initializer_list<StepOp> ops) {
  const bool any = std::any_of(ops.begin(), ops.end(), [&](StepOp op) { return has_step(c, op); });
  if (!c.cached() || !any || c.cache->forgets()) return {};
  c.problem.misreading = &how;
  return c;
}

Rewritten of_pages(Case c, const Misreading& how) {
  if (!c.cached() || c.cache->page_size == 0) return {};
  c.problem.misreading = &how;
  return c;
}

Rewritten of_ring(Case c, const Misreading& how) {
  if (!c.cached() || c.cache->kind != CacheKind::ring) return {};
  c.problem.misreading = &how;
  return c;
}

Rewritten of_buffer(Case c) {
  if (!c.cached() || c.cache->page_size > 0 || c.cache->forgets()) return {};
  c.problem.misreading = &growing_loses_last;
  return c;
}

Rewritten of_fixed(Case c) {
  const bool causal = find(c, "causal") != nullptr;
  if (!c.cached() || c.cache->kind != CacheKind::fixed || !causal) return {};
  c.problem.misreading = &sees_ahead;
  return c;
}

Rewritten of_first_row(Case c) {
  if (!c.cached() || c.problem.batch < 2) return {};
  c.problem.misreading = &positions_of_first_row;
  return c;
}

Rewritten other_style(Case c) {
  if (c.problem.rope == Rope::none) return {};
  c.problem.rope = c.problem.rope == Rope::half ? Rope::interleaved : Rope::half;
  return c;
}
Rewritten no_rope(Case c) {
  if (c.problem.rope == Rope::none) return {};
  c.problem.rope = Rope::none;
  return c;
}
Rewritten other_base(Case c) {
  if (c.problem.rope == Rope::none || c.problem.rope_base == Problem().rope_base) return {};
  c.problem.rope_base = Problem().rope_base;
  return c;
}
Rewritten not_quantised(Case c) {
  if (!c.cached() || c.cache->quant == Quant::none) return {};
  c.cache->quant = Quant::none;
  return c;
}

constexpr Alternative table[] = {
    {"rope-keys-not-shifted", "keys keep the angles of where they stood before an eviction",
     [](const Case& c) { return moved_keys(c, not_shifted); }},
    {"rope-first-row-shifted", "after an eviction only the first row's keys are turned anew",
     [](const Case& c) { return moved_keys(c, first_row_shifted); }},
    {"rope-last-shift", "of several evictions only the last one's shift reaches the keys",
     [](const Case& c) { return moved_keys(c, last_shift_alone); }},
    {"rope-twice", "keys are turned when they are cached and again when they are read",
     [](const Case& c) { return turned(c, turned_twice); }},
    {"rope-new-keys", "a step's own keys are read before they are turned",
     [](const Case& c) { return turned(c, new_keys_not_turned); }},
    {"rope-offset-zero", "each step's queries and keys are turned as if the cache were empty",
     [](const Case& c) { return turned(c, offset_zero); }},
    {"rope-query-offset", "queries are turned by a position too far",
     [](const Case& c) { return turned(c, query_offset); }},
    {"rope-keys-not-turned", "keys are not turned",
     [](const Case& c) { return turned(c, keys_not_turned); }},
    {"rope-queries-not-turned", "queries are not turned",
     [](const Case& c) { return turned(c, queries_not_turned); }},
    {"rope-style", "rope pairs other elements (halves for neighbours, or neighbours for halves)",
     [](const Case& c) { return other_style(c); }},
    {"rope-base", "rope has the usual base of 10000", [](const Case& c) { return other_base(c); }},
    {"rope-ignored", "rope is not applied", [](const Case& c) { return no_rope(c); }},
    {"scale-of-first-head", "all key heads are read with the first one's scale",
     [](const Case& c) { return scaled(c, scale_of_first_head); }},
    {"scales-ignored-in-prefill", "a prefill reads what is quantised without its scales",
     [](const Case& c) { return scaled(c, scales_ignored_in_prefill); }},
    {"scales-ignored", "what is quantised is read without its scales",
     [](const Case& c) { return scaled(c, scales_ignored); }},
    {"quant-ignored", "keys and values are not quantised",
     [](const Case& c) { return not_quantised(c); }},
    {"fork-shares-page",
     "rows that a fork or reorder made alike all write into the page that they share",
     [](const Case& c) { return shared(c); }},
    {"fork-page-without-values",
     "the copy of a page that a fork or reorder shared lacks the values",
     [](const Case& c) {
       const Rewritten paged = shared(c);
       return paged ? of_pages(c, tail_values_lost) : std::nullopt;
     }},
    {"copied-keys-alone", "rows are reordered or forked by their keys, and keep their values",
     [](const Case& c) {
       return after(c, values_stay_in_row, {StepOp::reorder, StepOp::fork});
     }},
    {"evict-moves-keys-alone", "an eviction moves keys up, and leaves values where they were",
     [](const Case& c) { return after(c, values_stay_in_slot, {StepOp::evict}); }},
    {"cache-table-reversed", "the block table is read from its last page",
     [](const Case& c) { return of_pages(c, table_reversed); }},
    {"ring-positions-of-slots", "cached keys stand at their slots of the ring",
     [](const Case& c) { return of_ring(c, positions_of_slots); }},
    {"ring-not-turned", "the ring is read from its first slot, as if that held the oldest token",
     [](const Case& c) { return of_ring(c, not_turned); }},
    {"ring-stuck", "a full ring keeps every new token in its last slot",
     [](const Case& c) { return of_ring(c, stuck); }},
    {"ring-rolls-early",
     "a token that just fills the ring pushes the oldest out and leaves an empty slot before it",
     [](const Case& c) { return of_ring(c, rolls_early); }},
    {"cache-slots-ahead",
     "queries after the first step stand q_len positions too far on, and see as many slots that "
     "hold nothing yet",
     [](const Case& c) { return of_fixed(c); }},
    {"cache-growing-loses-last",
     "the buffer doubles when it is full, and the last token of each row is not copied",
     [](const Case& c) { return of_buffer(c); }},
    {"cache-offset-of-first-row", "all rows' queries stand where the first row's do",
     [](const Case& c) { return of_first_row(c); }},
};

}  // namespace

std::span<const Alternative> misread() {
  return table;
}

}  // namespace attnfuzz::alternative
