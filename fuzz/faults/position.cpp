// Where queries stand among the keys, and how far they see from there.
#include <algorithm>

#include "fuzz/faults/rewrite.h"
#include "oracle/masks/rule.h"

namespace attnfuzz::fault {
namespace {

/// Alignment matters where a positional rule meets q_len ≠ kv_len, of the whole or of a sequence
/// (without a cache).
Rewritten aligned(const Case& c, Align align) {
  const Problem& p = c.problem;
  bool positional = false;
  for (const RuleUse& use : p.mask.rules) positional |= use.spec->positional;
  if (c.cached() || !positional || !lengths_differ(p) || p.mask.align == align) return {};
  Case other = c;
  other.problem.mask.align = align;
  return other;
}

/// causal as a window that ends `right` keys after the query.
Rewritten causal_until(Case c, int64_t right) {
  RuleUse* use = find(c, "causal");
  if (use == nullptr) return {};
  *use = {find_rule("window"), {masks::unbounded, right}};
  return c;
}

Rewritten causal_added(Case c) {
  if (find(c, "causal") != nullptr) return {};
  c.problem.mask.rules.push_back({find_rule("causal"), {}});
  return c;
}

Rewritten window_sides(Case c, bool left, bool right) {
  RuleUse* use = find(c, "window");
  if (use == nullptr) return {};
  if (!left) use->values[0] = masks::unbounded;
  if (!right) use->values[1] = masks::unbounded;
  return c;
}

Rewritten window_ends_at_query(Case c) {
  RuleUse* use = find(c, "window");
  if (use == nullptr || use->integer(1) == 0) return {};
  use->values[1] = int64_t{0};
  return c;
}

/// `left` given to both sides, as kernels with a single window size do.
Rewritten window_symmetric(Case c) {
  RuleUse* use = find(c, "window");
  if (use == nullptr || use->integer(0) == use->integer(1)) return {};
  use->values[1] = use->integer(0);
  return c;
}

Rewritten chunk_origin(Case c, int64_t origin) {
  RuleUse* use = find(c, "chunk");
  const RuleUse* padding = find(c, "padding");
  const bool padded_left = padding != nullptr && padding->integer(0) == 0;
  if (use == nullptr || !padded_left || use->integer(1) == origin) return {};
  use->values[1] = origin;
  return c;
}

Rewritten chunk_as_window(Case c) {
  RuleUse* use = find(c, "chunk");
  if (use == nullptr) return {};
  *use = {find_rule("window"), {use->integer(0) - 1, masks::unbounded}};
  return c;
}

Rewritten window_swapped(Case c) {
  RuleUse* use = find(c, "window");
  if (use == nullptr || use->integer(0) == use->integer(1)) return {};
  std::swap(use->values[0], use->values[1]);
  return c;
}

Rewritten prefix_of_first_row(Case c) {
  RuleUse* use = find(c, "prefix");
  if (use == nullptr || c.problem.batch < 2) return {};
  auto& lens = std::get<std::vector<int64_t>>(use->values[0]);
  std::fill(lens.begin(), lens.end(), lens[0]);
  return c;
}

/// All positions one farther on, for rules that are not a matter of distance alone.
void apply_one_early(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  RowContext other = context;
  std::vector<int64_t> keys(context.key_pos.begin(), context.key_pos.end());
  for (int64_t& key : keys) ++key;
  ++other.q_pos;
  other.key_pos = keys;
  const RuleUse inner = unwrap(use);
  inner.spec->apply(inner, other, row);
}

Rewritten chunk_starts_one_early(Case c) {
  RuleUse* use = find(c, "chunk");
  if (use == nullptr) return {};
  *use = {&made_rule<apply_one_early, Kind::positional>, wrap_values(*use)};
  return c;
}

void one_more(RowContext& context) {
  ++context.q_pos;
}
void one_less(RowContext& context) {
  --context.q_pos;
}

Rewritten prefix_causal(Case c) {
  RuleUse* use = find(c, "prefix");
  if (use == nullptr) return {};
  *use = {find_rule("causal"), {}};
  return c;
}

constexpr Fault table[] = {
    {"align-top-left", "query 0 stands at key 0 (positions aligned top-left, not bottom-right)",
     [](const Case& c) { return aligned(c, Align::top_left); }},
    {"align-bottom-right",
     "the last query stands at the last key (positions aligned bottom-right, not top-left)",
     [](const Case& c) { return aligned(c, Align::bottom_right); }},
    {"causal-one-more", "each query also sees the token after its own",
     [](const Case& c) { return causal_until(c, 1); }},
    {"causal-one-less", "a query does not see its own token",
     [](const Case& c) { return causal_until(c, -1); }},
    {"window-left-plus-one", "the window reaches one token farther back",
     [](const Case& c) { return moved(c, "window", 0, 1, 0); }},
    {"window-left-minus-one", "the window reaches one token less far back",
     [](const Case& c) { return moved(c, "window", 0, -1, -1); }},
    {"window-right-plus-one", "the window reaches one token farther ahead",
     [](const Case& c) { return moved(c, "window", 1, 1, 0); }},
    {"window-right-minus-one", "the window reaches one token less far ahead",
     [](const Case& c) { return moved(c, "window", 1, -1, -1); }},
    {"window-ends-at-query", "the window has no right side",
     [](const Case& c) { return window_ends_at_query(c); }},
    {"window-symmetric", "the window's left reach is used on both sides",
     [](const Case& c) { return window_symmetric(c); }},
    {"window-swapped", "the window's left and right reach are swapped",
     [](const Case& c) { return window_swapped(c); }},
    {"window-left-ignored", "the window's left limit is not applied",
     [](const Case& c) { return window_sides(c, false, true); }},
    {"window-right-ignored", "the window's right limit is not applied",
     [](const Case& c) { return window_sides(c, true, false); }},
    {"chunk-origin-slot", "chunks are counted from slot 0, not from the row's first real token",
     [](const Case& c) { return chunk_origin(c, 0); }},
    {"chunk-origin-token", "chunks are counted from the row's first real token, not from slot 0",
     [](const Case& c) { return chunk_origin(c, 1); }},
    {"chunk-size-plus-one", "chunks are one token longer",
     [](const Case& c) { return moved(c, "chunk", 0, 1, 1); }},
    {"chunk-size-minus-one", "chunks are one token shorter",
     [](const Case& c) { return moved(c, "chunk", 0, -1, 1); }},
    {"chunk-starts-one-early", "chunks begin one token early",
     [](const Case& c) { return chunk_starts_one_early(c); }},
    {"chunk-as-window", "the chunk is a sliding window of as many tokens",
     [](const Case& c) { return chunk_as_window(c); }},
    {"prefix-plus-one", "the prefix is one token longer",
     [](const Case& c) { return moved_lens(c, "prefix", 0, 1); }},
    {"prefix-minus-one", "the prefix is one token shorter",
     [](const Case& c) { return moved_lens(c, "prefix", 0, -1); }},
    {"prefix-first-row", "the prefix of the first batch row is used for all rows",
     [](const Case& c) { return prefix_of_first_row(c); }},
    {"prefix-ignored", "the prefix is not applied, and the mask is causal throughout",
     [](const Case& c) { return prefix_causal(c); }},
    {"prefix-mask-ignored", "neither the prefix nor the causal mask after it is applied",
     [](const Case& c) { return without(c, "prefix"); }},
    {"positions-one-more", "queries stand one position farther on",
     [](const Case& c) { return changed_positions<one_more>(c); }},
    {"positions-one-less", "queries stand one position less far on",
     [](const Case& c) { return changed_positions<one_less>(c); }},
    {"window-ignored", "the window is not applied",
     [](const Case& c) { return without(c, "window"); }},
    {"chunk-ignored", "the chunk is not applied",
     [](const Case& c) { return without(c, "chunk"); }},
    {"causal-ignored", "the causal mask is not applied",
     [](const Case& c) { return without(c, "causal"); }},
    {"causal-added", "a causal mask is applied that the case does not ask for",
     [](const Case& c) { return causal_added(c); }},
};

}  // namespace

std::span<const Fault> position() {
  return table;
}

}  // namespace attnfuzz::fault
