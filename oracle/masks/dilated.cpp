#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {{.name = "step", .kind = RuleParam::Kind::integer, .min = 1}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const int64_t step = use.integer("step");
  for (size_t j = 0; j < row.visible.size(); ++j)
    row.visible[j] &= static_cast<uint8_t>((context.q_pos - context.key_pos[j]) % step == 0);
}

}  // namespace

/// Beside a window it makes the dilated window of Beltagy, Peters and Cohan 2020 (section 3.1),
/// whose `left` and `right` then count tokens, not steps.
extern const RuleSpec dilated;
const RuleSpec dilated = {.name = "dilated",
                          .words = "its distance from the query is a multiple of `step`",
                          .params = params,
                          .positional = true,
                          .adds_bias = false,
                          .apply = apply};

}  // namespace attnfuzz::masks
