#include "oracle/masks/random_rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {
    {.name = "shape", .kind = RuleParam::Kind::choice, .choices = shape_choices},
    {.name = "q_block", .kind = RuleParam::Kind::integer, .min = 1},
    {.name = "kv_block", .kind = RuleParam::Kind::integer, .min = 1},
    {.name = "keep", .kind = RuleParam::Kind::integer, .max = 100}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const auto [b, h] = coordinates(context, use.integer("shape"));
  const int64_t kv_block = use.integer("kv_block");
  const auto keep = static_cast<double>(use.integer("keep"));
  const auto size = static_cast<int64_t>(row.visible.size());
  int64_t last = 0;
  for (const int64_t position : context.key_pos) last = std::max(last, position / kv_block);
  std::vector<double> percents(size == 0 ? 0 : static_cast<size_t>(last) + 1);
  element_row(context.data, Role::mask, 0, b, h, context.i / use.integer("q_block"), 0,
              context.problem.kv_len, context.problem.dtype, percents);
  for (int64_t j = 0; j < size; ++j) {
    const auto block = static_cast<size_t>(context.key_pos[static_cast<size_t>(j)] / kv_block);
    row.visible[static_cast<size_t>(j)] &= static_cast<uint8_t>(percents[block] < keep);
  }
}

}  // namespace

/// A mask of whole blocks: queries by q_block, keys by kv_block, counted from the first of each.
/// The last block of either axis may be a part of one. `shape` says for which axes the pattern
/// differs.
extern const RuleSpec block_sparse;
const RuleSpec block_sparse = {
    .name = "block_sparse",
    .words =
        "the random pattern is set for its block of `kv_block` keys and the query's block of "
        "`q_block`",
    .params = params,
    .positional = false,
    .adds_bias = false,
    .apply = apply,
    .on_cache = false,
    .by_place = true,
    .drawn = true};

}  // namespace attnfuzz::masks
