#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {{.name = "left", .kind = RuleParam::Kind::integer, .min = 0},
                                {.name = "right", .kind = RuleParam::Kind::integer, .min = 0}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  keep_between(context, row, context.q_pos - distance(use.integer("left")),
               context.q_pos + distance(use.integer("right")));
}

}  // namespace

/// The query's own token is not counted: left = right = 0 sees one key.
extern const RuleSpec window;
const RuleSpec window = {
    .name = "window",
    .words = "the key is at most `left` tokens before and `right` tokens after the query",
    .params = params,
    .positional = true,
    .adds_bias = false,
    .apply = apply};

}  // namespace attnfuzz::masks
