#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {{.name = "lens", .kind = RuleParam::Kind::per_batch, .min = 0}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const int64_t prefix = use.list("lens")[static_cast<size_t>(context.b)];
  keep_between(context, row, -unbounded, std::max(context.q_pos, prefix - 1));
}

}  // namespace

/// Prefix-LM (Raffel et al. 2020, section 3.2.1).
extern const RuleSpec prefix;
const RuleSpec prefix = {
    .name = "prefix",
    .words = "the key is not after the query, or is one of the first `lens` tokens of its row",
    .params = params,
    .positional = true,
    .adds_bias = false,
    .apply = apply};

}  // namespace attnfuzz::masks
