// Patterns that leave most keys out or let some in: blocks, dilation, spans, trees; and the bias by
// distance.
#include <algorithm>

#include "fuzz/faults/rewrite.h"
#include "oracle/masks/indices.h"
#include "oracle/masks/random_rule.h"
#include "oracle/rows.h"

namespace attnfuzz::fault {
namespace {

/// The rule's use replaced by one whose keys are gone through one by one.
template <auto apply, Kind kind = Kind::positional>
Rewritten replaced(Case c, std::string_view rule) {
  RuleUse* use = find(c, rule);
  if (use == nullptr) return {};
  *use = {&made_rule<apply, kind>, wrap_values(*use)};
  return c;
}

// Blocks ------------------------------------------------------------------------------------------

/// The pattern read as [kv block, query block].
void apply_blocks_transposed(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  const auto [b, h] = masks::coordinates(context, inner.integer("shape"));
  const int64_t of_query = context.i / inner.integer("q_block");
  for (size_t j = 0; j < row.visible.size(); ++j) {
    const int64_t of_key = context.key_pos[j] / inner.integer("kv_block");
    const double percent = element(context.data, Role::mask, 0, b, h, of_key, of_query, 1);
    row.visible[j] &= static_cast<uint8_t>(percent < static_cast<double>(inner.integer("keep")));
  }
}

/// Keys of the last block where that is a part of one.
void apply_tail_missing(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  inner.spec->apply(inner, context, row);
  const int64_t end =
      context.problem.kv_len / inner.integer("kv_block") * inner.integer("kv_block");
  for (size_t j = 0; j < row.visible.size(); ++j)
    row.visible[j] &= static_cast<uint8_t>(context.key_pos[j] < end);
}

Rewritten tail_missing(const Case& c) {
  const RuleUse* use = c.problem.mask.find("block_sparse");
  if (use == nullptr || c.problem.kv_len % use->integer("kv_block") == 0) return {};
  return replaced<apply_tail_missing, Kind::hiding>(c, "block_sparse");
}

/// Keys that fill the last block.
int64_t missing_keys(const Case& c) {
  const RuleUse* use = c.problem.mask.find("block_sparse");
  if (use == nullptr) return 0;
  const int64_t block = use->integer("kv_block"), kv_len = c.problem.kv_len;
  constexpr int64_t most = 4096;
  const int64_t count = (block - kv_len % block) % block;
  return count > most ? 0 : count;
}

/// More keys, where no rule but that of the blocks has to do with the end of the keys.
Rewritten tail_of_zeros(const Case& original) {
  Case c = original;
  const int64_t more = missing_keys(c);
  const bool moves = c.problem.mask.align == Align::bottom_right;
  for (const RuleUse& use : c.problem.mask.rules)
    if ((use.spec->positional && moves) || std::ranges::any_of(use.values, [](const auto& value) {
          return std::holds_alternative<std::vector<int64_t>>(value);
        }))
      return {};
  if (more == 0 || c.problem.asks_gradients() || c.data.given != nullptr ||
      c.problem.fully_masked == FullyMasked::uniform)
    return {};
  c.problem.kv_len += more;
  return c;
}

Inputs read_tail_of_zeros(const Case& c, Inputs inputs) {
  const Problem& p = c.problem;
  for (const std::string_view name : {"k", "v"}) {
    const Tensor& tensor = inputs.at(name);
    const int64_t dim = tensor.shape[3], len = p.kv_len + missing_keys(c);
    Tensor longer(p.dtype, shape_in(p.layout, p.batch, p.num_kv_heads, len, dim));
    const Rows from(p.layout, tensor.shape), to(p.layout, longer.shape);
    const int64_t bytes = info(p.dtype).bytes;
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t g = 0; g < p.num_kv_heads; ++g)
        for (int64_t s = 0; s < p.kv_len; ++s)
          std::copy_n(tensor.bytes.begin() + from.index(b, g, s) * bytes, dim * bytes,
                      longer.bytes.begin() + to.index(b, g, s) * bytes);
    inputs.replace(name, std::move(longer));
  }
  return inputs;
}

// Lists of keys -----------------------------------------------------------------------------------

/// A place of −1 taken for the last key, as an index from the end would be, or for the first.
template <bool last>
void apply_none_as_key(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  std::vector<uint8_t> set(row.visible.size(), 0);
  for (const int64_t key : selected_keys(unwrap(use), context)) {
    const int64_t read = key >= 0 ? key : last ? context.problem.kv_len - 1 : 0;
    if (read < std::ssize(set)) set[static_cast<size_t>(read)] = 1;
  }
  for (size_t j = 0; j < set.size(); ++j) row.visible[j] &= set[j];
}

/// The last place of each list left out.
void apply_list_one_less(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  std::vector<uint8_t> set(row.visible.size(), 0);
  std::vector<int64_t> keys = selected_keys(unwrap(use), context);
  if (!keys.empty()) keys.pop_back();
  for (const int64_t key : keys)
    if (key >= 0 && key < std::ssize(set)) set[static_cast<size_t>(key)] = 1;
  for (size_t j = 0; j < set.size(); ++j) row.visible[j] &= set[j];
}

// Dilation ----------------------------------------------------------------------------------------

void apply_steps_from_first_key(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const int64_t step = unwrap(use).integer("step");
  for (size_t j = 0; j < row.visible.size(); ++j)
    row.visible[j] &= static_cast<uint8_t>(context.key_pos[j] % step == 0);
}

// Spans -------------------------------------------------------------------------------------------

Rewritten spans_as(Case c, std::string_view rule) {
  RuleUse* use = find(c, "spans");
  if (use == nullptr || find(c, rule) != nullptr) return {};
  use->spec = find_rule(rule);
  use->values.resize(use->spec->params.size());
  return c;
}

Rewritten spans_first_boundary(Case c, int64_t by) {
  RuleUse* use = find(c, "spans");
  if (use == nullptr || use->list(0).size() < 2) return {};
  auto& lens = std::get<std::vector<int64_t>>(use->values[0]);
  lens.front() += by;
  lens.back() -= by;
  return c;
}

// Trees -------------------------------------------------------------------------------------------

Rewritten tree_as_causal(const Case& original) {
  Case c = original;
  RuleUse* use = find(c, "tree");
  if (use == nullptr) return {};
  *use = {find_rule("causal"), {}};
  return c;
}

/// Of the tree the query's own node and its parent alone.
void apply_parent_alone(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  inner.spec->apply(inner, context, row);
  const std::vector<int64_t>& parents = inner.list("parents");
  const auto nodes = static_cast<int64_t>(parents.size());
  const int64_t first = context.problem.kv_len - nodes, own = context.q_pos - first;
  if (own < 0 || own >= nodes) return;
  for (size_t j = 0; j < row.visible.size(); ++j) {
    const int64_t node = context.key_pos[j] - first;
    const bool seen = node < 0 || node == own || node == parents[static_cast<size_t>(own)];
    row.visible[j] &= static_cast<uint8_t>(seen);
  }
}

void apply_without_context(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  inner.spec->apply(inner, context, row);
  const int64_t first = context.problem.kv_len - static_cast<int64_t>(inner.list("parents").size());
  for (size_t j = 0; j < row.visible.size() && context.q_pos >= first; ++j)
    row.visible[j] &= static_cast<uint8_t>(context.key_pos[j] >= first);
}

// The bias by distance ------------------------------------------------------------------------

/// query − key for key − query.
void apply_distance_negated(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  for (size_t j = 0; j < row.bias.size(); ++j) {
    RowContext other = context;
    other.q_pos = context.key_pos[j];
    other.key_pos = {&context.q_pos, 1};
    inner.spec->apply(inner, other, {row.visible.subspan(j, 1), row.bias.subspan(j, 1)});
  }
}

Rewritten relative_choice(Case c, std::string_view param) {
  RuleUse* use = find(c, "relative_bias");
  if (use == nullptr) return {};
  const size_t k = use->place(param);
  use->values[k] = 1 - use->integer(k);
  return c;
}

void at_top_left(RowContext& context) {
  context.q_pos = context.i;
}
Rewritten relative_top_left(const Case& c) {
  const bool moved =
      !c.cached() && c.problem.mask.align == Align::bottom_right && lengths_differ(c.problem);
  return moved ? changed<at_top_left>(c, "relative_bias") : std::nullopt;
}

constexpr Fault table[] = {
    {"block-sparse-tail-zeros",
     "the last block of keys, a part of one, is filled with keys and values of zeros that count",
     tail_of_zeros, Fault::Of::softmax, read_tail_of_zeros},
    {"block-sparse-tail-missing", "the last block of keys, a part of one, is left out",
     tail_missing},
    {"block-sparse-transposed", "the pattern of blocks is read as [kv block, query block]",
     [](const Case& c) {
       return replaced<apply_blocks_transposed, Kind::hiding>(c, "block_sparse");
     }},
    {"block-sparse-first-head", "the pattern of blocks of the first head is used for all heads",
     [](const Case& c) { return changed<first_head>(c, "block_sparse"); }},
    {"block-sparse-first-row", "the pattern of blocks of the first batch row is used for all rows",
     [](const Case& c) { return changed<first_row>(c, "block_sparse"); }},
    {"indices-none-as-last", "a place of -1 in the list of keys is taken for the last key",
     [](const Case& c) { return replaced<apply_none_as_key<true>, Kind::hiding>(c, "indices"); }},
    {"indices-none-as-first", "a place of -1 in the list of keys is taken for the first key",
     [](const Case& c) { return replaced<apply_none_as_key<false>, Kind::hiding>(c, "indices"); }},
    {"indices-one-less", "the last place of each list of keys is not read",
     [](const Case& c) { return replaced<apply_list_one_less, Kind::hiding>(c, "indices"); }},
    {"indices-first-head", "the lists of keys of the first head are used for all heads",
     [](const Case& c) { return changed<first_head>(c, "indices"); }},
    {"indices-first-row", "the lists of keys of the first batch row are used for all rows",
     [](const Case& c) { return changed<first_row>(c, "indices"); }},
    {"indices-first-query", "the first list of keys is used for all queries",
     [](const Case& c) { return changed<first_query>(c, "indices"); }},
    {"dilated-from-first-key", "the steps of the dilation are counted from key 0, not the query",
     [](const Case& c) { return replaced<apply_steps_from_first_key>(c, "dilated"); }},
    {"dilated-step-plus-one", "the dilation's step is one more",
     [](const Case& c) { return moved(c, "dilated", 0, 1, 1); }},
    {"dilated-step-minus-one", "the dilation's step is one less",
     [](const Case& c) { return moved(c, "dilated", 0, -1, 1); }},
    {"spans-plus-one", "the first span is one token longer",
     [](const Case& c) { return spans_first_boundary(c, 1); }},
    {"spans-minus-one", "the first span is one token shorter",
     [](const Case& c) { return spans_first_boundary(c, -1); }},
    {"spans-alone", "a query sees the keys of its own span alone, none before it",
     [](const Case& c) { return spans_as(c, "documents"); }},
    {"spans-causal", "spans are causal inside as well",
     [](const Case& c) { return spans_as(c, "causal"); }},
    {"tree-parent-alone", "a query sees no node above its parent",
     [](const Case& c) { return replaced<apply_parent_alone>(c, "tree"); }},
    {"tree-context-missing", "a query of the tree sees nothing before the tree",
     [](const Case& c) { return replaced<apply_without_context>(c, "tree"); }},
    {"tree-causal", "the tree is taken for a sequence: a query sees all nodes before its own",
     tree_as_causal},
    {"relative-bias-first-head", "the first head's bias by distance is used for all heads",
     [](const Case& c) { return changed<first_head>(c, "relative_bias"); }},
    {"relative-bias-negated-distance", "the distance is query - key, not key - query",
     [](const Case& c) {
       return replaced<apply_distance_negated, Kind::positional_bias>(c, "relative_bias");
     }},
    {"relative-bias-other-direction",
     "the buckets are for keys on both sides of the query where they are for those before it "
     "alone, or the other way round",
     [](const Case& c) { return relative_choice(c, "direction"); }},
    {"relative-bias-other-spacing",
     "the buckets grow with the distance where each distance has its own, or the other way round",
     [](const Case& c) { return relative_choice(c, "spacing"); }},
    {"relative-bias-top-left",
     "the distance is counted from the query's number, not from where it stands",
     relative_top_left},
    {"block-sparse-ignored", "the pattern of blocks is not applied",
     [](const Case& c) { return without(c, "block_sparse"); }},
    {"indices-ignored", "keys that are in no list are seen",
     [](const Case& c) { return without(c, "indices"); }},
    {"dilated-ignored", "the dilation is not applied",
     [](const Case& c) { return without(c, "dilated"); }},
    {"spans-ignored", "nothing is hidden after the query or its span",
     [](const Case& c) { return without(c, "spans"); }},
    {"tree-ignored", "nothing of the tree is hidden",
     [](const Case& c) { return without(c, "tree"); }},
    {"relative-bias-ignored", "the bias by distance is not added",
     [](const Case& c) { return without(c, "relative_bias"); }},
};

}  // namespace

std::span<const Fault> sparse() {
  return table;
}

}  // namespace attnfuzz::fault
