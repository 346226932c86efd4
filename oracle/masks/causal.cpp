#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

void apply(const RuleUse&, const RowContext& context, const MaskRow& row) {
  keep_between(context, row, -unbounded, context.q_pos);
}

}  // namespace

extern const RuleSpec causal;
const RuleSpec causal = {.name = "causal",
                         .words = "the key is not after the query",
                         .params = {},
                         .positional = true,
                         .adds_bias = false,
                         .apply = apply};

}  // namespace attnfuzz::masks
