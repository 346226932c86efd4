#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {{.name = "parents", .kind = RuleParam::Kind::parents, .min = -1}};

/// For each node of the tree, whether it is the query's own or one of those above it.
std::vector<uint8_t> path_to(const std::vector<int64_t>& parents, int64_t node) {
  std::vector<uint8_t> path(parents.size(), 0);
  if (node >= static_cast<int64_t>(parents.size())) return path;
  for (; node >= 0; node = parents[static_cast<size_t>(node)]) path[static_cast<size_t>(node)] = 1;
  return path;
}

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const std::vector<int64_t>& parents = use.list("parents");
  const auto nodes = static_cast<int64_t>(parents.size());
  const int64_t first = context.problem.kv_len - nodes;
  if (context.q_pos < first) return keep_between(context, row, -unbounded, context.q_pos);
  const std::vector<uint8_t> path = path_to(parents, context.q_pos - first);
  for (size_t j = 0; j < row.visible.size(); ++j) {
    const int64_t node = context.key_pos[j] - first;
    if (node >= 0) row.visible[j] &= node < nodes ? path[static_cast<size_t>(node)] : uint8_t{0};
  }
}

}  // namespace

/// A tree of drafts behind a context, as speculative decoding verifies it (Miao et al. 2023,
/// SpecInfer): the last keys are the tree's nodes, one for each of `parents`, the same for every
/// row. A parent of −1 is the context's last token.
extern const RuleSpec tree;
const RuleSpec tree = {
    .name = "tree",
    .words =
        "the key is before the tree and not after the query, or on the query's path to the "
        "tree's root",
    .params = params,
    .positional = true,
    .adds_bias = false,
    .apply = apply,
    .on_cache = false};

}  // namespace attnfuzz::masks
